// Knows whether Redis works, from what calls tell and from probes while it does not.

import type { StoreError } from "../errors.ts";
import type { StoreHealth } from "../store.ts";
import { problemOf } from "./problem.ts";
import type { RedisServers } from "./servers.ts";

/** While Redis does not work it is looked at this often, in ms. */
const PROBE_INTERVAL = 250;

export interface HealthEvents {
  /** Once when it breaks and once when it works again. */
  changed(health: StoreHealth): void;
  /** After each probe that found it working. */
  works(): void;
}

export class HealthWatch {
  readonly #servers: RedisServers;
  readonly #events: HealthEvents;
  #health: StoreHealth = { status: "ok" };
  /** Keys that could not be reached: in a cluster others may answer all the while. */
  #keys: readonly string[] = [];
  #probing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(servers: RedisServers, events: HealthEvents) {
    this.#servers = servers;
    this.#events = events;
  }

  get health(): StoreHealth {
    return this.#health;
  }

  /** What a call told, and the keys that it needed; undefined: it worked. */
  note(error: StoreError | undefined, keys: readonly string[] = this.#keys): void {
    this.#keys = error === undefined ? [] : keys;
    const before = this.#health.status;
    this.#health = error === undefined ? { status: "ok" } : { status: "error", error };
    if (before !== this.#health.status && !this.#stopped) this.#events.changed(this.#health);
    if (error === undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else this.lookSoon();
  }

  /** Looks in a moment, when a connection that broke may have been made again: then nothing is told. */
  lookSoon(): void {
    if (!this.#stopped) this.#timer ??= setTimeout(() => this.#look(), PROBE_INTERVAL);
  }

  /** A call worked. After an error that says little: in a cluster, what did not work may be elsewhere. */
  worked(): void {
    if (this.#health.status === "error") void this.probe();
  }

  /** Asks Redis now, unless that is under way, or all is over: asking opens the connections. Never rejects. */
  async probe(): Promise<void> {
    if (this.#stopped) return;
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
    await this.#probing;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #probe(): Promise<void> {
    const error = await this.#servers.probe(this.#keys);
    if (this.#stopped) return;
    this.note(error && problemOf(error, this.#servers.place).error);
    if (error === undefined) this.#events.works();
  }

  async #look(): Promise<void> {
    await this.probe();
    this.#timer = undefined;
    if (this.#health.error !== undefined) this.note(this.#health.error);
  }
}
