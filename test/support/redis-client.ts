// A small Redis client for tests, so that they can look at keys without the library under test. RESP2, commands pipelined.

import { once } from "node:events";
import { connect as connectPlain, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { type RedisReply, RedisReplyError, ReplyParser } from "./redis-replies.ts";
import { within } from "./wait-for.ts";

/** A reply that is easy to compare: every Buffer read as UTF-8. */
export type PlainReply = string | number | null | readonly PlainReply[];

export interface RedisClientOptions {
  readonly host?: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  readonly tls?: ConnectionOptions;
}

/** How long a connection and a reply may take, in ms. */
const TIMEOUT = 10_000;

interface Waiting {
  readonly resolve: (reply: RedisReply) => void;
  readonly reject: (error: Error) => void;
}

export class RedisClient {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #gone: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const parser = new ReplyParser((reply) => this.#settle(reply));
    socket.on("data", (chunk) => parser.push(chunk));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the connection to Redis is closed")));
  }

  /** Connects, logs in and selects the database, as far as the options say so. */
  static async connect(options: RedisClientOptions): Promise<RedisClient> {
    const { host = "127.0.0.1", port, username, password, database = 0, tls } = options;
    const socket = tls === undefined ? connectPlain({ host, port }) : connectTls({ host, port, ...tls });
    try {
      await within(once(socket, tls === undefined ? "connect" : "secureConnect"), {
        what: `a connection to Redis on port ${port}`,
        timeout: TIMEOUT,
      });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    const client = new RedisClient(socket);
    try {
      if (password !== undefined) {
        await client.command("AUTH", ...(username === undefined ? [] : [username]), password);
      }
      if (database !== 0) await client.command("SELECT", database);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  /** Sends one command; rejects with `RedisReplyError` when Redis replies with an error. */
  command(...args: readonly (string | Uint8Array | number)[]): Promise<RedisReply> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    const reply = new Promise<RedisReply>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#socket.cork();
    this.#socket.write(`*${args.length}\r\n`);
    for (const arg of args) {
      const bytes = typeof arg === "object" ? arg : Buffer.from(String(arg));
      this.#socket.write(`$${bytes.length}\r\n`);
      this.#socket.write(bytes);
      this.#socket.write("\r\n");
    }
    this.#socket.uncork();
    return within(reply, { what: `the reply to ${String(args[0])}`, timeout: TIMEOUT });
  }

  /** Sends one command whose reply is text. */
  async text(...args: readonly (string | Uint8Array | number)[]): Promise<PlainReply> {
    return plain(await this.command(...args));
  }

  /** The names of all keys that match, sorted. */
  async keys(pattern = "*"): Promise<string[]> {
    return ((await this.text("KEYS", pattern)) as string[]).sort();
  }

  /** A hash as an object of texts. */
  async hash(key: string): Promise<Record<string, string>> {
    const flat = (await this.text("HGETALL", key)) as string[];
    return Object.fromEntries(flat.flatMap((field, at) => (at % 2 === 0 ? [[field, flat[at + 1] ?? ""]] : [])));
  }

  close(): void {
    this.#socket.destroy();
  }

  #settle(reply: RedisReply): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#end(new Error("Redis sent a reply that nobody asked for"));
    else if (reply instanceof RedisReplyError) waiting.reject(reply);
    else waiting.resolve(reply);
  }

  #end(error: Error): void {
    this.#gone ??= error;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#gone);
  }
}

function plain(reply: RedisReply): PlainReply {
  if (reply instanceof RedisReplyError) throw reply;
  if (Buffer.isBuffer(reply)) return reply.toString();
  return Array.isArray(reply) ? reply.map(plain) : (reply as PlainReply);
}
