// The servers of the store: one connection for writes, one for reads, and the question whether they work.

import { addressText } from "../../mqtt/address-text.ts";
import type { Convert, RedisCommand, Send } from "./command.ts";
import { type ConnectionEvents, RedisConnection } from "./connection.ts";
import { RedisKeys } from "./keys.ts";
import { Notices } from "./notices.ts";
import type { RedisStoreOptions } from "./options.ts";
import { IndexTakenError, type Place } from "./problem.ts";
import { Sentinels } from "./sentinels.ts";

/** No topic has this name, so that asking for it changes nothing. */
const NO_TOPIC = "#";
/** Errors that are answers: a key of another kind, and the HSET that lacks a value. */
const ANSWERS = /^(WRONGTYPE|ERR wrong number of arguments)/;

export class RedisServers {
  /** The servers as the user named them, for messages. */
  readonly where: string;
  readonly place: Place;
  readonly #options: RedisStoreOptions;
  readonly #keys: RedisKeys;
  readonly #events: ConnectionEvents;
  readonly #notices: Notices;
  #sentinels: Sentinels | undefined;
  #forWrites: RedisConnection | undefined;
  #forReads: RedisConnection | undefined;

  /** `ready` is called when both connections are made, at first and after a break; `broken` when one of them ends. */
  constructor(options: RedisStoreOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#keys = new RedisKeys(options);
    this.#events = events;
    this.where = options.servers.map(addressText).join(", ");
    this.place = {
      name: nameOf(options, this.where),
      mode: options.mode,
      keyPatterns: this.#keys.patterns,
    };
    this.#notices = new Notices(options.logger, this.where);
  }

  /** Begins to connect, and goes on doing so. Throws when a certificate cannot be read. */
  open(): void {
    if (this.#forWrites !== undefined) return;
    const ready = () => {
      if (this.#forWrites?.isReady && this.#forReads?.isReady) this.#events.ready();
    };
    const events = { ready, broken: () => this.#events.broken() };
    const { mode, poolSize } = this.#options;
    if (mode === "sentinel") this.#sentinels ??= new Sentinels(this.#options, this.#notices);
    const helpers = { notices: this.#notices, sentinels: this.#sentinels };
    this.#forWrites = new RedisConnection(this.#options, helpers, events);
    this.#forReads = poolSize > 1 ? new RedisConnection(this.#options, helpers, events) : this.#forWrites;
  }

  /** Settles when the first attempt to connect has succeeded or failed. Never rejects: a probe tells what went wrong. */
  async attempted(): Promise<void> {
    try {
      this.open();
    } catch {
      return;
    }
    await Promise.all([this.#forWrites?.attempted, this.#forReads?.attempted]);
  }

  close(): void {
    this.#forWrites?.close();
    if (this.#forReads !== this.#forWrites) this.#forReads?.close();
    this.#sentinels?.close();
    this.#forWrites = undefined;
    this.#forReads = undefined;
    this.#sentinels = undefined;
  }

  readonly write: Send = (commands, convert) => send(this.#forWrites, commands, convert);

  readonly read: Send = (commands, convert) => send(this.#forReads, commands, convert);

  /** A master of a cluster that cannot be reached, if there is one. */
  get nodeError(): Error | undefined {
    return this.#forWrites?.nodeError ?? this.#forReads?.nodeError;
  }

  /** Each master by itself. */
  masters(): Send[] {
    return this.#forReads?.masters() ?? [];
  }

  /**
   * Whether both connections work, writes are taken, and the servers of these keys answer: the first error, if there is
   * one. Takes no right that the store does not need anyway.
   */
  async probe(keys: readonly string[]): Promise<Error | undefined> {
    try {
      this.open();
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    // What was at a node that is gone is at its replica by now, not for these keys alone.
    if (keys.length > 0) await Promise.all([this.#forWrites?.refresh(), this.#forReads?.refresh()]);
    const looks = keys.map((key): RedisCommand => ["ZRANGE", key, 0, 0]);
    // A master that has become a replica would answer reads all the same.
    const all = [...this.#everyCommand(), ...looks];
    const replies = await Promise.all([this.write(all), this.read(all)]);
    if (replies.some(([index]) => index instanceof Error && index.message.startsWith("WRONGTYPE"))) {
      return new IndexTakenError();
    }
    return replies.flat().find((reply): reply is Error => reply instanceof Error && !ANSWERS.test(reply.message));
  }

  /** One of each command that the store uses, so that none that is refused looks as if all worked. They change nothing. */
  #everyCommand(): RedisCommand[] {
    const { topics, noMessage, noSubscriptions } = this.#keys;
    return [
      ["ZRANGE", topics, 0, 0],
      ["ZADD", topics, "XX", 0, NO_TOPIC],
      // Refused for its fields alone, if it is allowed: one without a value.
      ["HSET", noMessage, "a", "b", "c"],
      ["HGETALL", noMessage],
      ["EXPIRE", noMessage, 1],
      ["ZREM", noMessage, NO_TOPIC],
      ["ZREMRANGEBYSCORE", noMessage, 0, 0],
      ["DEL", noMessage],
      ["HGETALL", noSubscriptions],
      ["HDEL", noSubscriptions, NO_TOPIC],
    ];
  }
}

/** Begins a sentence about the servers. */
function nameOf({ mode, sentinel }: RedisStoreOptions, where: string): string {
  if (mode === "sentinel") return `The master ${JSON.stringify(sentinel)}`;
  return mode === "cluster" ? `The Redis cluster at ${where}` : `Redis at ${where}`;
}

async function send<Result>(
  connection: RedisConnection | undefined,
  commands: readonly RedisCommand[],
  convert?: Convert<Result>,
): Promise<(Result | Error)[]> {
  if (commands.length === 0) return [];
  return connection?.send(commands, convert) ?? commands.map(() => new Error("not connected"));
}
