// Saves the messages of a flush in one pipeline: the topics' index, the topics' entries, the hashes, the expiries.
//
// An entry comes before its hash, so that no hash is left that nothing names. NX keeps the place that a message had when it
// was tried before.

import type { Message } from "../../../mqtt/message.ts";
import { deathOf } from "../../message-death.ts";
import type { Argument, RedisCommand, Reply } from "../command.ts";
import type { IndexEntry, RedisContext } from "../context.ts";
import { hashCommand } from "../message-hash.ts";
import { IndexTakenError } from "../problem.ts";

/** The life of a sorted set while messages do not expire by age, in seconds: 100 years end an expiry that it had before. */
const FOR_EVER = 3_153_600_000;

export interface Saving {
  readonly message: Message;
  readonly id62: string;
  /** In ms since the epoch, with fraction. */
  readonly score: number;
}

interface TopicPlan {
  readonly entries: Argument[];
  lastScore: number;
  entriesAt: number;
  expiryAt: number;
}

export class SaveBatch {
  readonly commands: RedisCommand[] = [];
  readonly #context: RedisContext;
  readonly #savings: readonly Saving[];
  readonly #topics = new Map<string, TopicPlan>();
  readonly #hashAt: number[];
  readonly #expiryAt: number[];

  constructor(context: RedisContext, savings: readonly Saving[], now: number) {
    this.#context = context;
    this.#savings = savings;
    this.#hashAt = new Array(savings.length);
    this.#expiryAt = new Array(savings.length);
    if (savings.length > 0) this.#plan(now);
  }

  #plan(now: number): void {
    const { keys, messageTtl } = this.#context;
    const commands = this.commands;
    for (const { message, id62, score } of this.#savings) {
      let plan = this.#topics.get(message.topic);
      if (plan === undefined) {
        plan = { entries: [], lastScore: 0, entriesAt: -1, expiryAt: -1 };
        this.#topics.set(message.topic, plan);
      }
      plan.entries.push(score, id62);
      plan.lastScore = Math.max(plan.lastScore, score);
    }
    const index: Argument[] = [];
    for (const [topic, { lastScore }] of this.#topics) index.push(lastScore, topic);
    commands.push(["ZADD", keys.topics, "GT", ...index]);
    for (const [topic, plan] of this.#topics) {
      plan.entriesAt = commands.length;
      commands.push(["ZADD", keys.topic(topic), "NX", ...plan.entries]);
    }
    for (let at = 0; at < this.#savings.length; at++) {
      const { message, id62 } = this.#savings[at] as Saving;
      this.#hashAt[at] = commands.length;
      commands.push(hashCommand(keys.message(id62), message, id62));
    }
    for (let at = 0; at < this.#savings.length; at++) {
      const { message, id62 } = this.#savings[at] as Saving;
      const life = Math.ceil((deathOf(message, messageTtl) - now) / 1_000);
      if (life === Number.POSITIVE_INFINITY) continue;
      this.#expiryAt[at] = commands.length;
      const seconds = Math.max(1, messageTtl > 0 ? Math.min(life, messageTtl) : life);
      commands.push(["EXPIRE", keys.message(id62), seconds]);
    }
    const indexLife = messageTtl > 0 ? messageTtl : FOR_EVER;
    for (const [topic, plan] of this.#topics) {
      plan.expiryAt = commands.length;
      commands.push(["EXPIRE", keys.topic(topic), indexLife]);
    }
    commands.push(["EXPIRE", keys.topics, indexLife]);
  }

  /** What went wrong with a message, if anything did. */
  errorOf(at: number, replies: readonly Reply[]): Error | undefined {
    const plan = this.#topics.get((this.#savings[at] as Saving).message.topic) as TopicPlan;
    if (isWrongType(replies[0])) return new IndexTakenError();
    const steps = [0, plan.entriesAt, this.#hashAt[at], this.#expiryAt[at], plan.expiryAt];
    for (const step of steps) {
      const reply = step === undefined ? undefined : replies[step];
      if (reply instanceof Error) return reply;
    }
    return undefined;
  }

  /** Whether the message's key, or that of its topic, holds another kind of data. */
  takenBy(at: number, replies: readonly Reply[]): "topic" | "message" | undefined {
    const { topic } = (this.#savings[at] as Saving).message;
    if (isWrongType(replies[(this.#topics.get(topic) as TopicPlan).entriesAt])) return "topic";
    return isWrongType(replies[this.#hashAt[at] as number]) ? "message" : undefined;
  }

  /** What was written of a message that is refused: the parts to take back. */
  remains(at: number, replies: readonly Reply[]): { readonly hash?: string; readonly entry?: IndexEntry } {
    const { id62, message } = this.#savings[at] as Saving;
    const { topic } = message;
    const wroteHash = !(replies[this.#hashAt[at] as number] instanceof Error);
    const wroteEntry = !(replies[(this.#topics.get(topic) as TopicPlan).entriesAt] instanceof Error);
    return { ...(wroteHash ? { hash: id62 } : undefined), ...(wroteEntry ? { entry: { id62, topic } } : undefined) };
  }
}

function isWrongType(reply: Reply | undefined): boolean {
  return reply instanceof Error && reply.message.startsWith("WRONGTYPE");
}
