// Whether a message or subscription has room in its table, as far as it is known before asking the server.

import type { Message } from "../../mqtt/message.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { type StoreError, StoreInvalidError, StoreTooLargeError } from "../errors.ts";
import type { Layout } from "./layout.ts";
import { CLIENT_ID_LENGTH, FILTER_LENGTH, TOPIC_LENGTH } from "./operations/create-tables.ts";
import { type ColumnShape, columnNamed } from "./table-shape.ts";

/** Why a message cannot be stored; undefined: it can, as far as it is known. */
export function roomForMessage({ messages }: Layout, { topic, from, payload }: Message): StoreError | undefined {
  const column = (name: string | undefined) => columnNamed(messages?.shape, name);
  const topicColumn = column(messages?.topic);
  const topicProblem = textProblem(topicColumn, topic);
  if (topicProblem !== undefined) {
    return new StoreInvalidError(
      `The topic ${topicProblem} in MySQL: publish to another one${orMigrate(topicColumn, TOPIC_LENGTH)}.`,
    );
  }
  const senderColumn = column(messages?.sender);
  const senderProblem = textProblem(senderColumn, from);
  if (senderProblem !== undefined) {
    return new StoreTooLargeError(
      `The client id ${senderProblem} in MySQL: choose another one${orMigrate(senderColumn, CLIENT_ID_LENGTH)}.`,
    );
  }
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
  const clientColumn = columnNamed(subscriptions?.shape, subscriptions?.clientId);
  const clientProblem = textProblem(clientColumn, clientId);
  if (clientProblem !== undefined) {
    return new StoreTooLargeError(
      `The client id ${clientProblem} in MySQL: choose another one${orMigrate(clientColumn, CLIENT_ID_LENGTH)}.`,
    );
  }
  const filterColumn = columnNamed(subscriptions?.shape, subscriptions?.topic);
  const filterProblem = textProblem(filterColumn, topicFilter);
  if (filterProblem === undefined) return undefined;
  return new StoreInvalidError(
    `The topic filter ${filterProblem} in MySQL: subscribe to another one${orMigrate(filterColumn, FILTER_LENGTH)}.`,
  );
}

/** The advice to migrate, where that gives the column more room. `length`: what it has then, in characters. */
function orMigrate(column: ColumnShape | undefined, length: number): string {
  return (column?.maxCharacters ?? length) < length ? ", or run omp mysql migrate" : "";
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
