// Collects the rows of one page of messages, up to its limits, and packs them for the way to the main thread.

import type { SQLOutputValue } from "node:sqlite";
import { RETAIN_BIT } from "../../sqlite/message-columns.ts";
import { arrivedTime } from "./arrived.ts";
import type { PageColumns, ReadPage } from "./protocol.ts";

/** Not past its own expiry, not older than message_ttl. */
const LIVE = "coalesce(expires_at > ?1, 1) AND arrived >= ?2";

function columns(payload: string): string {
  return `id, msgid, topic, sender, qos, retain, ${payload}, arrived, properties, expires_at`;
}

/** Payloads above this many bytes are read only once it is known that the message is wanted. */
const SMALL_PAYLOAD = 1_024;

/**
 * The columns of a `PageRow`. A large payload of an expired message is not read.
 * Parameters: ?1 now in ms, ?2 the `arrived` of the oldest message that is not too old.
 */
export const PAGE_COLUMNS = columns(`CASE WHEN length(payload) <= ${SMALL_PAYLOAD} OR ${LIVE} THEN payload END`);

/** The same, and at the end 1 where the payload was left out because it is large. */
export const PAGE_COLUMNS_WITHOUT_LARGE_PAYLOADS = `
${columns(`CASE WHEN length(payload) <= ${SMALL_PAYLOAD} THEN payload END`)},
coalesce(length(payload) > ${SMALL_PAYLOAD}, 0)`;

export type PageRow = [
  id: number,
  msgid: string,
  topic: string,
  sender: string | null,
  qos: number,
  retain: number | null,
  payload: SQLOutputValue,
  arrived: string,
  properties: string | null,
  expiresAt: number | null,
  /** Only with `PAGE_COLUMNS_WITHOUT_LARGE_PAYLOADS`. */
  large?: number,
];

export class PageBuilder {
  readonly #rows: PageRow[] = [];
  readonly #payloads: Uint8Array[] = [];
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #now: number;
  readonly #oldest: string;
  #bytes = 0;

  /** `oldest`: the `arrived` of the oldest message that is not too old. */
  constructor({ maxMessages, maxBytes, now }: Pick<ReadPage, "maxMessages" | "maxBytes" | "now">, oldest: string) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
    this.#now = now;
    this.#oldest = oldest;
  }

  get full(): boolean {
    return this.#rows.length >= this.#maxMessages || (this.#rows.length > 0 && this.#bytes >= this.#maxBytes);
  }

  /** Takes a row in, unless its message has expired. */
  add(row: PageRow): void {
    const [arrived, expiresAt] = [row[7], row[9]];
    if (arrived < this.#oldest || (expiresAt !== null && expiresAt <= this.#now)) return;
    const payload = toBytes(row[6]);
    this.#rows.push(row);
    this.#payloads.push(payload);
    this.#bytes += payload.length;
  }

  /** `next`: the row id to read on after; absent: there is nothing more. */
  build(next: number | undefined): PageColumns {
    const rows = this.#rows;
    const flags = new Uint8Array(rows.length);
    const timestamps = new Float64Array(rows.length);
    const expiries = new Float64Array(rows.length);
    const ends = new Float64Array(rows.length);
    const positions = new Float64Array(rows.length);
    const payloads = new Uint8Array(this.#bytes);
    let end = 0;
    rows.forEach((row, at) => {
      const payload = this.#payloads[at] as Uint8Array;
      payloads.set(payload, end);
      end += payload.length;
      ends[at] = end;
      positions[at] = row[0];
      flags[at] = row[4] | (row[5] ? RETAIN_BIT : 0);
      timestamps[at] = arrivedTime(row[7]);
      expiries[at] = row[9] ?? Number.NaN;
    });
    return {
      messages: {
        ids: rows.map((row) => row[1]),
        topics: rows.map((row) => row[2]),
        senders: rows.map((row) => row[3] ?? ""),
        properties: rows.map((row) => row[8]),
        flags,
        timestamps,
        expiries,
        ends,
        payloads: payloads.buffer,
      },
      positions,
      ...(next === undefined ? undefined : { next }),
    };
  }
}

/** A payload that was written by hand in the sqlite3 shell may be NULL, a text or a number. */
function toBytes(payload: SQLOutputValue): Uint8Array {
  if (payload instanceof Uint8Array) return payload;
  return payload === null ? new Uint8Array(0) : Buffer.from(String(payload));
}
