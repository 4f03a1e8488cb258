// What the log tells of the tables and templates: once at the start, and of subscriptions that have no row of their own.

import type { Logger } from "../../mqtt/logger.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { type Layout, type MessageColumns, topicsAreExact } from "./layout.ts";
import { canExpireByAge } from "./operations/expire.ts";
import { canFindTopics } from "./operations/find-topics.ts";
import type { MySqlStoreOptions } from "./options.ts";
import { columnNamed, comparesExactly } from "./table-shape.ts";
import type { Templates } from "./templates.ts";

/** Statements without large payloads have this many bytes at most. */
const MIN_PACKET = 64 * 1024;
const MIGRATE = "run omp mysql migrate";

export class StartWarnings {
  readonly #logger: Logger;
  #told = false;
  #collisionTold = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Tells once what there is no room for. */
  look(templates: Templates, layout: Layout, options: MySqlStoreOptions): void {
    if (this.#told) return;
    this.#told = true;
    for (const warning of warnings(templates, layout, options)) this.#logger.warn({}, warning);
  }

  /** A subscription was not stored, since another one has its row. */
  collided({ clientId, topicFilter }: Subscription): void {
    if (this.#collisionTold) return;
    this.#collisionTold = true;
    this.#logger.warn(
      { clientId, topicFilter },
      `a subscription is not stored, since the table takes it for one that differs in case, accents or spaces only: ${MIGRATE}; further ones are counted, not told`,
    );
  }
}

function warnings(templates: Templates, layout: Layout, { messageTtl }: MySqlStoreOptions): string[] {
  const told: string[] = [];
  const { messages, subscriptions, selected } = layout;
  if (!selected.has("id")) {
    told.push(
      "the result of mysql.select_message_sql has no column id of whole numbers, so that it cannot be read in pages: only the first max_backlog_per_topic messages of a topic are delivered at a time",
    );
  }
  if (!selected.has("qos")) {
    told.push(
      "the result of mysql.select_message_sql has no column qos: messages are delivered with QoS 0, again and again, since nobody acknowledges them",
    );
  }
  if (layout.maxPacket < MIN_PACKET) {
    told.push(
      `max_allowed_packet of MySQL is ${layout.maxPacket} bytes, and should be ${MIN_PACKET} or more: raise it`,
    );
  }
  if (!canFindTopics({ templates, layout })) {
    told.push(
      "subscriptions with wildcards get nothing from MySQL: mysql.insert_message_sql does not tell the table and column of topics, and mysql.select_topics_sql is empty",
    );
  }
  const lacks = [
    ...(messages?.properties === undefined ? ["MQTT 5 properties"] : []),
    ...(messages?.expiresAt === undefined ? ["the expiry of messages"] : []),
    ...(messages !== undefined && !topicsAreExact(messages) ? ["telling topics apart by an index"] : []),
    ...(messages !== undefined && !isIndexed(messages, messages.msgid) ? ["finding messages by their ids"] : []),
  ];
  const isDefault = templates.defaults.has("insert_message_sql");
  const where = isDefault ? "the table of messages in MySQL has" : "mysql.insert_message_sql tells of";
  const remedy = isDefault ? MIGRATE : "docs/mysql.md tells what your own table needs for that";
  if (lacks.length > 0) told.push(`${where} no room for ${lacks.join(", ")}: ${remedy}`);
  const keys = [subscriptions?.clientId, subscriptions?.topic].map((name) => columnNamed(subscriptions?.shape, name));
  if (templates.defaults.has("insert_subscription_sql") && keys.some((key) => key && !comparesExactly(key))) {
    told.push(
      `the table of subscriptions in MySQL takes two that differ in case, accents or spaces at the end only for one, and the second is not stored: ${MIGRATE}`,
    );
  }
  if (messageTtl > 0 && !canExpireByAge(messages)) {
    told.push("mysql.message_ttl has no effect: the table of messages does not tell when they were stored");
  }
  return told;
}

function isIndexed({ shape }: MessageColumns, written: string | undefined): boolean {
  const column = columnNamed(shape, written);
  return column !== undefined && shape.indexed.has(column.name.toLowerCase());
}
