// What is looked at once, when Redis answers for the first time: whether it keeps data on disk, and which topics EMQX's
// plugin has stored to. Both need rights that the store can do without.

import type { Logger } from "../../mqtt/logger.ts";
import type { Reply } from "./command.ts";
import type { RedisContext } from "./context.ts";
import { findTopics } from "./operations/find-topics.ts";
import type { RedisServers } from "./servers.ts";

export class FirstLook {
  readonly #servers: RedisServers;
  readonly #context: RedisContext;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  #looking: Promise<void> | undefined;

  constructor(servers: RedisServers, context: RedisContext, logger: Logger) {
    this.#servers = servers;
    this.#context = context;
    this.#logger = logger;
  }

  /** Settles when it is done; looks once, however often it is called. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().catch((error: unknown) => {
      // Cut off by a connection that broke: the next time that Redis works it begins anew.
      this.#looking = undefined;
      if (!this.#stop.signal.aborted) this.#logger.debug({ err: error }, "the first look at Redis was cut short");
    });
    return this.#looking;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #look(): Promise<void> {
    const masters = this.#servers.masters();
    const replies = await Promise.all(masters.map((master) => master([["CONFIG", "GET", "appendonly"]])));
    this.#warnAboutDurability(replies.flat());
    for (const master of masters) {
      const outcome = await findTopics(this.#context, master, this.#stop.signal);
      if (outcome === "done" || this.#stop.signal.aborted) continue;
      this.#logger.info(
        { servers: this.#servers.where },
        outcome === "not allowed"
          ? "the Redis user may not use SCAN: topics that only EMQX's plugin has stored to are found by their exact names, not by wildcards"
          : "Redis holds too many keys to look at all: some topics that only EMQX's plugin has stored to are not found by wildcards",
      );
      return;
    }
  }

  #warnAboutDurability(replies: readonly Reply[]): void {
    const answers = replies.map((reply) => (Array.isArray(reply) ? String(reply[1]) : undefined));
    if (answers.length > 0 && answers.every((answer) => answer === "yes")) return;
    this.#logger.warn(
      { servers: this.#servers.where },
      answers.includes("no")
        ? "the append-only file of Redis is off: messages that were acknowledged are lost when Redis ends; set appendonly yes"
        : "Redis does not tell whether its append-only file is on: without it, messages that were acknowledged are lost when Redis ends",
    );
  }
}
