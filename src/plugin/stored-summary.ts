// What is stored, for metrics. The store is asked now and then, however often somebody wants to know.
//
// Counting may cost a store much (Redis and tables of EMQX's plugin keep no counts), so that a question is followed by a pause
// that is many times as long as it took. What is known meanwhile is what the last answer said.

import type { Logger } from "../mqtt/logger.ts";
import type { Store, StoreTotals, TopicSummary } from "../store/store.ts";

/** The store is asked at most once in this time, in ms. */
const INTERVAL = 2_500;
/** Part of the time that the store may spend on answering. */
const MAX_SHARE = 1 / 20;
/** Whoever wants to know waits so long for an answer that is new, in ms. */
const PATIENCE = 1000;
/** Topics looked at in one call, and in all. */
const TOPICS_PER_CALL = 500;
const MAX_TOPICS = 5000;
/** How long topics are looked at, in ms. */
const MAX_TIME = 2000;
/** The largest topics that are told one by one. */
const LARGEST = 20;

export interface StoredSummary extends StoreTotals {
  /** The topics with most messages, the largest first. */
  readonly largest: readonly TopicSummary[];
  /** When the oldest message was published, in ms since the epoch; undefined: there is none, or too many topics to tell. */
  readonly oldest: number | undefined;
}

export class StoredSummaries {
  readonly #store: Pick<Store, "totals" | "listTopics">;
  readonly #logger: Logger;
  readonly #interval: number;
  #latest: StoredSummary | undefined;
  #asking: Promise<void> | undefined;
  /** Of the monotonic clock, in ms. */
  #askAgainAt = Number.NEGATIVE_INFINITY;

  /** `interval` in ms: for tests. */
  constructor(store: Pick<Store, "totals" | "listTopics">, logger: Logger, interval = INTERVAL) {
    this.#store = store;
    this.#logger = logger;
    this.#interval = interval;
  }

  /** What the store said last; undefined: it was not asked, or could not answer. */
  get latest(): StoredSummary | undefined {
    return this.#latest;
  }

  /** Asks the store if it is time to. Settles with the answer, or earlier if that takes long. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#asking === undefined) {
      if (performance.now() < this.#askAgainAt) return;
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
      });
    }
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE);
    });
    await Promise.race([this.#asking, patience]);
    clearTimeout(timer);
  }

  async #ask(): Promise<void> {
    const began = performance.now();
    try {
      const totals = await this.#store.totals();
      const { topics, isComplete } = await this.#topics(began);
      const times = topics.flatMap(({ oldest }) => oldest ?? []);
      this.#latest = {
        ...totals,
        largest: topics.toSorted((a, b) => b.messages - a.messages).slice(0, LARGEST),
        oldest: isComplete && times.length > 0 ? times.reduce((a, b) => Math.min(a, b)) : undefined,
      };
    } catch (error) {
      this.#latest = undefined;
      this.#logger.debug({ err: error }, "what is stored could not be counted");
    }
    const end = performance.now();
    this.#askAgainAt = Math.max(began + this.#interval, end + (end - began) / MAX_SHARE);
  }

  async #topics(began: number): Promise<{ topics: readonly TopicSummary[]; isComplete: boolean }> {
    const topics: TopicSummary[] = [];
    let after: string | undefined;
    do {
      const page = await this.#store.listTopics({
        topicFilter: "#",
        limit: TOPICS_PER_CALL,
        ...(after === undefined ? undefined : { after }),
      });
      topics.push(...page.topics);
      after = page.next;
    } while (after !== undefined && topics.length < MAX_TOPICS && performance.now() - began < MAX_TIME);
    return { topics, isComplete: after === undefined };
  }
}
