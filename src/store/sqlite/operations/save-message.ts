// Saves one message, within the limits. An id that is stored already changes nothing.

import { validateTopicName } from "../../../mqtt/topic.ts";
import type { MessageColumns } from "../../../sqlite/message-columns.ts";
import { ProblemError } from "../../../sqlite/problem.ts";
import { arrivedText } from "../arrived.ts";
import type { Database } from "../database.ts";
import { dropOldest, dropOldestOfTopic } from "./drop-oldest.ts";

const INSERT_MESSAGE = `
INSERT INTO mqtt_msg (msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at, packet_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (msgid) DO NOTHING`;

const SELECT_ID = "SELECT 1 FROM mqtt_msg WHERE msgid = ?";

/** Oldest messages that one new message may push out; a limit that was lowered is reached over several messages. */
const MAX_DROPS_PER_SAVE = 1_024;

/**
 * Saves the message at an index of the columns, with the Packet Identifier with which it came (0: none); returns how many messages were dropped to make room. Throws
 * `ProblemError` when this message cannot be stored, before anything was changed.
 */
export function saveMessage(database: Database, columns: MessageColumns, at: number, packetId: number): number {
  const { counters, options } = database;
  const id = columns.ids[at] as string;
  const topic = columns.topics[at] as string;
  const start = at === 0 ? 0 : (columns.ends[at - 1] as number);
  const size = (columns.ends[at] as number) - start;

  const topicError = validateTopicName(topic);
  if (topicError !== undefined) throw new ProblemError({ kind: "invalid", message: topicError.message });
  if (options.maxBytes > 0 && size > options.maxBytes) {
    throw new ProblemError({
      kind: "too_large",
      message: `The payload has ${size} bytes, the whole store may hold ${options.maxBytes}: raise max_bytes, or send less.`,
    });
  }
  if (options.overflow === "reject") {
    const limit = limitReached(database, topic, size);
    if (limit !== undefined) {
      if (database.row(SELECT_ID, id) !== undefined) return 0;
      throw new ProblemError({ kind: "limit", message: limit });
    }
  }

  const flags = columns.flags[at] as number;
  const expiresAt = columns.expiries[at] as number;
  const { changes } = database
    .statement(INSERT_MESSAGE)
    .run(
      id,
      topic,
      columns.senders[at] as string,
      flags & 3,
      flags >> 2,
      new Uint8Array(columns.payloads, start, size),
      arrivedText(columns.timestamps[at] as number),
      columns.properties[at] ?? null,
      Number.isNaN(expiresAt) ? null : expiresAt,
      packetId === 0 ? null : packetId,
    );
  if (changes === 0) return 0;
  counters.add(topic, 1, size);
  return options.overflow === "drop_oldest" ? makeRoom(database, topic) : 0;
}

/** The limit that one more message would break, in words. */
function limitReached({ counters, options }: Database, topic: string, size: number): string | undefined {
  const { maxMessages, maxBytes, maxMessagesPerTopic } = options;
  if (maxMessages > 0 && counters.messages >= maxMessages) {
    return `The store holds ${counters.messages} messages: let subscribers take some, raise max_messages (${maxMessages}), or set overflow to drop_oldest.`;
  }
  if (maxBytes > 0 && counters.bytes + size > maxBytes) {
    return `The store holds ${counters.bytes} bytes and has no room for ${size} more: let subscribers take some, raise max_bytes (${maxBytes}), or set overflow to drop_oldest.`;
  }
  if (maxMessagesPerTopic > 0 && counters.messagesOf(topic) >= maxMessagesPerTopic) {
    return `The topic holds ${counters.messagesOf(topic)} messages: let subscribers take some, raise max_messages_per_topic (${maxMessagesPerTopic}), or set overflow to drop_oldest.`;
  }
  return undefined;
}

function makeRoom(database: Database, topic: string): number {
  const { counters, options } = database;
  const { maxMessages, maxBytes, maxMessagesPerTopic } = options;
  let dropped = 0;
  while (dropped < MAX_DROPS_PER_SAVE) {
    if (maxMessagesPerTopic > 0 && counters.messagesOf(topic) > maxMessagesPerTopic) {
      dropOldestOfTopic(database, topic);
    } else if ((maxMessages > 0 && counters.messages > maxMessages) || (maxBytes > 0 && counters.bytes > maxBytes)) {
      dropOldest(database);
    } else break;
    dropped++;
  }
  return dropped;
}
