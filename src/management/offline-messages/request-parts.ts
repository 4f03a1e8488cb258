// Parts of requests and answers that the endpoints have in common: filters, ids, and where a page goes on, by EMQX's words.

import { Type } from "typebox";
import { type MessageId, parseMessageId } from "../../mqtt/message-id.ts";
import { validateTopicFilter } from "../../mqtt/topic.ts";
import { ApiError } from "../api-error.ts";

export const OFFLINE_MESSAGES = "/api/v5/offline_messages";

export const tags = ["Offline messages"];

/** As EMQX has them. */
export const Limit = Type.Integer({ minimum: 1, maximum: 10_000, default: 100 });
export const PositionText = Type.String({ maxLength: 100_000, description: "meta.position of the page before" });
export const FilterText = Type.String({ description: "A topic, or a filter with + and #" });

/** The time in which a request that looks at much has to end, in ms: then the answer has what there is. */
export const TIME_LIMIT = 20_000;
/** Bytes of topics, properties and payloads at which a page ends. */
export const PAGE_BYTES = 16 * 1024 * 1024;

/** Throws `ApiError` 400 for what is no filter. */
export function checkFilter(topicFilter: string): string {
  const problem = validateTopicFilter(topicFilter);
  if (problem !== undefined) throw new ApiError(400, "BAD_REQUEST", problem.message);
  if (topicFilter.startsWith("$share/")) {
    throw new ApiError(
      400,
      "BAD_REQUEST",
      "A shared subscription stores nothing of its own: give the filter after it.",
    );
  }
  return topicFilter;
}

/** Throws `ApiError` 400 for what is no message id. */
export function checkMessageId(text: string): MessageId {
  try {
    return parseMessageId(text);
  } catch (error) {
    throw new ApiError(400, "BAD_REQUEST", (error as Error).message, { cause: error });
  }
}

/** A text as a position that needs no escapes in a URL. */
export function toPosition(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** The reverse; absent: from the beginning. */
export function fromPosition(position: string | undefined): string {
  return Buffer.from(position ?? "", "base64url").toString();
}

export const BAD_POSITION = "position is none of this store: take meta.position of the page before, or leave it out";
