// Publishers that go on all the while something happens to a store, and what became of each message.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Message } from "../../src/mqtt/message.ts";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import type { Store, StoreHealth } from "../../src/store/store.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { sampleMessage } from "./sample-messages.ts";

/** Between two messages of a publisher, in ms. */
const PAUSE = 2;

export class Publishing {
  readonly acknowledged: Message[] = [];
  readonly refusals: Error[] = [];
  /** The longest that a call took, in ms. */
  slowest = 0;
  /** Refusals at which the store still called itself healthy. */
  refusedInHealth = 0;
  readonly #store: Store;
  readonly #topics: readonly string[];
  readonly #lanes: Promise<void>[];
  #isOver = false;
  #number = 0;

  /** Begins; every topic has a publisher of its own, which sends one message after the other. */
  constructor(scope: Scope, store: Store, topics: readonly string[]) {
    this.#store = store;
    this.#topics = topics;
    this.#lanes = topics.map((topic) => this.#publish(topic));
    scope.after(() => this.end());
  }

  /** Waits until so many more messages of every topic are acknowledged. */
  async goesOn(more: number, timeout = 20_000): Promise<void> {
    const before = this.#counts();
    await waitFor(
      () => {
        const now = this.#counts();
        return this.#topics.every((topic) => (now.get(topic) ?? 0) >= (before.get(topic) ?? 0) + more);
      },
      { what: `${more} more messages of each topic, last error: ${this.refusals.at(-1)}`, timeout },
    );
  }

  /** Waits until a message is refused that was sent from now on. */
  async isRefused(timeout = 20_000): Promise<Error> {
    const before = this.refusals.length;
    await waitFor(() => this.refusals.length > before, { what: "a refusal", timeout });
    return this.refusals.at(-1) as Error;
  }

  /** Waits for the last calls. */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }

  /** No call took longer than the store's timeout, and every refusal was a temporary one that the health told of. */
  assertInTime(timeout: number): void {
    for (const error of this.refusals) assert.ok(error instanceof StoreUnavailableError, String(error));
    assert.ok(this.slowest < timeout + SLACK, `a call took ${this.slowest.toFixed(0)} ms`);
    assert.equal(this.refusedInHealth, 0, "refusals while the health was ok");
  }

  #counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { topic } of this.acknowledged) counts.set(topic, (counts.get(topic) ?? 0) + 1);
    return counts;
  }

  async #publish(topic: string): Promise<void> {
    while (!this.#isOver) {
      const message = sampleMessage(topic, String(this.#number++));
      const begin = performance.now();
      try {
        await this.#store.saveMessage(message);
        this.acknowledged.push(message);
      } catch (error) {
        this.refusals.push(error as Error);
        if (this.#store.health().status === "ok") this.refusedInHealth++;
      }
      this.slowest = Math.max(this.slowest, performance.now() - begin);
      await delay(PAUSE);
    }
  }
}

/** What a busy machine may add to a timeout, in ms. */
const SLACK = 1_000;

/** Waits until the store is well, and sees that it told of each break: once when it began, once when it was over. */
export async function assertTold(
  store: Store,
  healths: readonly StoreHealth[],
  breaks: number | undefined,
): Promise<void> {
  await waitFor(() => store.health().status === "ok", { what: "health ok" });
  const pairs = breaks ?? healths.length / 2;
  assert.deepEqual(
    healths.map(({ status }) => status),
    Array.from({ length: pairs }, () => ["error", "ok"]).flat(),
    healths.map(({ error }) => error?.message ?? "ok").join("\n"),
  );
}
