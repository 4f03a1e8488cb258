// Keeps table mqtt_topic, and the totals over it, in step with mqtt_msg: changes are summed up within a transaction and
// written once per topic before it commits.

import type { StoreTotals } from "../store.ts";
import type { Database } from "./database.ts";
import { RECOUNT_TOPICS, SELECT_MESSAGE_COUNT } from "./operations/recount-topics.ts";

const SELECT_TOTALS = "SELECT coalesce(sum(messages), 0), coalesce(sum(bytes), 0) FROM mqtt_topic";
const SELECT_TOPIC = "SELECT messages FROM mqtt_topic WHERE topic = ?";
const ADD_TO_TOPIC = `
INSERT INTO mqtt_topic (topic, messages, bytes) VALUES (?, ?, ?)
ON CONFLICT (topic) DO UPDATE SET messages = messages + excluded.messages, bytes = bytes + excluded.bytes`;
const DELETE_EMPTY_TOPIC = "DELETE FROM mqtt_topic WHERE topic = ? AND messages <= 0";

interface Change {
  messages: number;
  bytes: number;
  /** Messages of the topic in the table; undefined until somebody asks. */
  stored: number | undefined;
}

export class TopicCounters {
  readonly #database: Database;
  readonly #changes = new Map<string, Change>();
  #messages = 0;
  #bytes = 0;
  #committed: StoreTotals = { messages: 0, bytes: 0 };

  constructor(database: Database) {
    this.#database = database;
  }

  /** With the changes of the transaction under way. */
  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Reads the totals. When another program has changed mqtt_msg alone, mqtt_topic is counted anew. */
  load(): void {
    const [messages] = this.#database.row<[number]>(SELECT_MESSAGE_COUNT) ?? [0];
    this.#loadTotals();
    if (messages !== this.#messages) {
      this.#database.connection.exec(RECOUNT_TOPICS);
      this.#loadTotals();
    }
    this.#committed = { messages: this.#messages, bytes: this.#bytes };
  }

  #loadTotals(): void {
    [this.#messages, this.#bytes] = this.#database.row<[number, number]>(SELECT_TOTALS) ?? [0, 0];
  }

  add(topic: string, messages: number, bytes: number): void {
    const change = this.#change(topic);
    change.messages += messages;
    change.bytes += bytes;
    this.#messages += messages;
    this.#bytes += bytes;
  }

  /** Messages of one topic, with the changes of the transaction under way. */
  messagesOf(topic: string): number {
    const change = this.#change(topic);
    change.stored ??= this.#database.row<[number]>(SELECT_TOPIC, topic)?.[0] ?? 0;
    return change.stored + change.messages;
  }

  #change(topic: string): Change {
    let change = this.#changes.get(topic);
    if (change === undefined) {
      change = { messages: 0, bytes: 0, stored: undefined };
      this.#changes.set(topic, change);
    }
    return change;
  }

  /** Writes the changes into the table, within the transaction. */
  write(): void {
    for (const [topic, { messages, bytes }] of this.#changes) {
      if (messages === 0 && bytes === 0) continue;
      this.#database.statement(ADD_TO_TOPIC).run(topic, messages, bytes);
      if (messages < 0) this.#database.statement(DELETE_EMPTY_TOPIC).run(topic);
    }
    this.#changes.clear();
  }

  committed(): void {
    this.#committed = { messages: this.#messages, bytes: this.#bytes };
  }

  rolledBack(): void {
    this.#changes.clear();
    this.#messages = this.#committed.messages;
    this.#bytes = this.#committed.bytes;
  }
}
