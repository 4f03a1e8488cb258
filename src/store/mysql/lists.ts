// Lists of values for `IN (…)`, of few lengths, so that few statements have to be prepared.

import type { Template } from "./template.ts";

/** MariaDB turns a longer list into a table of its own, which takes more time. */
export const MAX_LIST = 512;

/** Topics that one statement asks for. */
export const MAX_TOPICS = 64;
/** Bytes for a topic with what asks for it: an index has room for 3,072. */
const TOPIC_ROOM = 4_096;

/** How many topics a statement asks for, a power of two: fewer where that would be more than `max_allowed_packet` takes. */
export function topicsPerStatement(maxPacket: number, { parameters }: Pick<Template, "parameters">): number {
  const room = maxPacket / (TOPIC_ROOM * Math.max(1, parameters.length));
  return 2 ** Math.floor(Math.log2(Math.min(MAX_TOPICS, Math.max(1, room))));
}

/** `(?, ?, …)` and its values: the list is filled up to a power of two with its last value, which changes nothing. */
export function listOf<T>(values: readonly T[]): { readonly sql: string; readonly values: readonly T[] } {
  const length = 2 ** Math.ceil(Math.log2(Math.max(1, values.length)));
  const last = values.at(-1) as T;
  const filled = [...values, ...new Array<T>(length - values.length).fill(last)];
  return { sql: `(${filled.map(() => "?").join(", ")})`, values: filled };
}

/** The list in parts of at most so many. */
export function* partsOf<T>(values: readonly T[], size: number = MAX_LIST): Generator<readonly T[]> {
  for (let start = 0; start < values.length; start += size) yield values.slice(start, start + size);
}
