// Whether a message or subscription has room in its table, as far as it is known before asking the server.

import type { Message } from "../../mqtt/message.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { type StoreError, StoreInvalidError, StoreTooLargeError } from "../errors.ts";
import type { Layout } from "./layout.ts";
import { CLIENT_ID_LENGTH, FILTER_LENGTH, TOPIC_LENGTH } from "./operations/create-tables.ts";
import { type ColumnShape, columnNamed } from "./table-shape.ts";

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
  const column = (name: string | undefined) => columnNamed(messages?.shape, name);
  const topicRefusal = textRefusal(TOPIC, column(messages?.topic), topic);
  if (topicRefusal !== undefined) return new StoreInvalidError(topicRefusal);
  const senderRefusal = textRefusal(CLIENT_ID, column(messages?.sender), from);
  if (senderRefusal !== undefined) return new StoreTooLargeError(senderRefusal);
  const maxBytes = column(messages?.payload)?.maxBytes;
  if (maxBytes === undefined || payload.length <= maxBytes) return undefined;
  return new StoreTooLargeError(
    `The payload has ${payload.length} bytes, and its column in MySQL room for ${maxBytes}: send a smaller one, or run omp mysql migrate.`,
  );
}

/** Why a subscription cannot be stored; undefined: it can, as far as it is known. */
export function roomForSubscription(
  { subscriptions }: Layout,
  { clientId, topicFilter }: Pick<Subscription, "clientId" | "topicFilter">,
): StoreError | undefined {
  const column = (name: string | undefined) => columnNamed(subscriptions?.shape, name);
  const clientRefusal = textRefusal(CLIENT_ID, column(subscriptions?.clientId), clientId);
  if (clientRefusal !== undefined) return new StoreTooLargeError(clientRefusal);
  const filterRefusal = textRefusal(FILTER, column(subscriptions?.topic), topicFilter);
  return filterRefusal === undefined ? undefined : new StoreInvalidError(filterRefusal);
}

/** A sentence; undefined: the text has room. To migrate is advised where it gives the column more room. */
function textRefusal(
  { name, advice, length }: TextKind,
  column: ColumnShape | undefined,
  text: string,
): string | undefined {
  const problem = textProblem(column, text);
  if (problem === undefined) return undefined;
  const orMigrate = (column?.maxCharacters ?? length) < length ? ", or run omp mysql migrate" : "";
  return `The ${name} ${problem} in MySQL: ${advice}${orMigrate}.`;
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
