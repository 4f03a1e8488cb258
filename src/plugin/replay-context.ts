// What all replays share: the host, the store, who is being sent what, and how much may be read ahead.

import type { Logger } from "../mqtt/logger.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { Store } from "../store/store.ts";
import type { Claims } from "./claims.ts";
import type { Counters } from "./counters.ts";
import type { OneToOne } from "./delivery-rule.ts";
import type { Host, ReplayTarget } from "./host.ts";
import type { Owed } from "./owed.ts";
import type { Removals } from "./removals.ts";

/** A replay as the others see it. */
export interface CatchingUp {
  readonly owner: string;
  readonly isShared: boolean;
  readonly target: ReplayTarget;
  /** Whether it would send messages of this topic. */
  matches(topic: string): boolean;
  /** A message that another client was being sent is free again: comes back to it. */
  comeBack(): void;
  /** A message that is stored was routed or refused. */
  routed(): void;
  /** The store is back. */
  retryNow(): void;
}

export interface ReplayContext {
  readonly host: Host;
  readonly store: Store;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly claims: Claims;
  readonly owed: Owed;
  readonly removals: Removals;
  readonly rule: OneToOne;
  /** Messages being stored, or stored and not yet routed by the host. */
  readonly unrouted: ReadonlySet<MessageId>;
  /** The replays that are catching up. */
  readonly catchingUp: Set<CatchingUp>;
  /** Replays whose last page ended before a message that is not routed yet. */
  readonly cutShort: Set<CatchingUp>;
  /** Replays that left messages to other clients and come back when one of these is free again. */
  readonly leftToOthers: Set<CatchingUp>;
  readonly reads: ConcurrencyLimit;
  /** How much to ask for in one page, given how many replays share the memory. */
  pageSize(): { maxMessages: number; maxBytes: number };
  /** Whether the client has another subscription that matches the topic, with QoS 1 or 2. */
  getsAtHigherQoS(clientId: string, topic: string): boolean;
  /** Called when a replay went live. */
  wentLive(replay: CatchingUp): void;
  /** Ms since the epoch. */
  now(): number;
}

/** Runs at most so many tasks at a time; the others wait in order. Each waiter is bounded by its replay: one each. */
export class ConcurrencyLimit {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
