// Whether a message or subscription has room in its table, as far as it is known before asking the server.

import type { Message } from "../../mqtt/message.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { type StoreError, StoreInvalidError, StoreTooLargeError } from "../errors.ts";
import type { Layout } from "./layout.ts";
import { CLIENT_ID_LENGTH, FILTER_LENGTH, TOPIC_LENGTH } from "./operations/create-tables.ts";
import { type ColumnShape, columnNamed, nameOf, type TableShape } from "./table-shape.ts";

/** A text of a message or subscription, for the sentence that refuses it. */
interface TextKind {
  readonly name: string;
  readonly advice: string;
  /** What `omp mysql migrate` gives its column, in characters. */
  readonly length: number;
}

const TOPIC: TextKind = { name: "topic", advice: "publish to another one", length: TOPIC_LENGTH };
const CLIENT_ID: TextKind = { name: "client id", advice: "choose another one", length: CLIENT_ID_LENGTH };
const FILTER: TextKind = { name: "topic filter", advice: "subscribe to another one", length: FILTER_LENGTH };

/** Why a message cannot be stored; undefined: it can, as far as it is known. */
export function roomForMessage({ messages }: Layout, { topic, from, payload }: Message): StoreError | undefined {
  const shape = messages?.shape;
  const topicRefusal = textRefusal(TOPIC, shape, messages?.topic, topic);
  if (topicRefusal !== undefined) return new StoreInvalidError(topicRefusal);
  const senderRefusal = textRefusal(CLIENT_ID, shape, messages?.sender, from);
  if (senderRefusal !== undefined) return new StoreTooLargeError(senderRefusal);
  const maxBytes = columnNamed(shape, messages?.payload)?.maxBytes;
  if (maxBytes === undefined || payload.length <= maxBytes) return undefined;
  const orMigrate = canBeMigrated(shape) ? OR_MIGRATE : "";
  return new StoreTooLargeError(
    `The payload has ${payload.length} bytes, and its column in MySQL room for ${maxBytes}: send a smaller one${orMigrate}.`,
  );
}

/** Why a subscription cannot be stored; undefined: it can, as far as it is known. */
export function roomForSubscription(
  { subscriptions }: Layout,
  { clientId, topicFilter }: Pick<Subscription, "clientId" | "topicFilter">,
): StoreError | undefined {
  const shape = subscriptions?.shape;
  const clientRefusal = textRefusal(CLIENT_ID, shape, subscriptions?.clientId, clientId);
  if (clientRefusal !== undefined) return new StoreTooLargeError(clientRefusal);
  const filterRefusal = textRefusal(FILTER, shape, subscriptions?.topic, topicFilter);
  return filterRefusal === undefined ? undefined : new StoreInvalidError(filterRefusal);
}

const OR_MIGRATE = ", or run omp mysql migrate and start the broker again";

/** Tables that have another name are left to the user. */
function canBeMigrated(shape: TableShape | undefined): boolean {
  return shape !== undefined && /^mqtt_(?:msg|sub)$/i.test(nameOf(shape.table)[1]);
}

/** A sentence; undefined: the text has room. To migrate is advised where it makes the column one that has room for more. */
function textRefusal(
  { name, advice, length }: TextKind,
  shape: TableShape | undefined,
  written: string | undefined,
  text: string,
): string | undefined {
  const column = columnNamed(shape, written);
  const problem = textProblem(column, text);
  if (problem === undefined) return undefined;
  const isNarrow = column?.takesAllCharacters === false || (column?.maxCharacters ?? length) < length;
  return `The ${name} ${problem} in MySQL: ${advice}${isNarrow && canBeMigrated(shape) ? OR_MIGRATE : ""}.`;
}

/** The rest of a sentence that begins with what the text is. */
function textProblem(column: ColumnShape | undefined, text: string): string | undefined {
  if (column?.collation === undefined) {
    const bytes = Buffer.byteLength(text);
    if (column?.maxBytes === undefined || bytes <= column.maxBytes) return undefined;
    return `has ${bytes} bytes, and its column room for ${column.maxBytes}`;
  }
  const { maxCharacters = Number.POSITIVE_INFINITY, takesAllCharacters } = column;
  const isLonger = text.length > maxCharacters && [...text].length > maxCharacters;
  if (isLonger) return `has more than the ${maxCharacters} characters that its column has room for`;
  if (!takesAllCharacters && /[\u{10000}-\u{10FFFF}]/u.test(text)) {
    return "has a character that its column cannot hold";
  }
  return undefined;
}
