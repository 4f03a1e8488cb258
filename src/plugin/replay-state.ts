// How far replays have come, for whoever looks at them.

import type { MessageId } from "../mqtt/message-id.ts";
import type { Position } from "../store/store.ts";

export interface ReplayState {
  /** Absent: it is that of a shared subscription. */
  readonly clientId?: string;
  /** As the client wrote it, `$share/{ShareName}/` included. */
  readonly topicFilter: string;
  /** It reads the store; otherwise messages are pushed to it as they are published. */
  readonly isCatchingUp: boolean;
  /** Messages up to this position were sent or passed over; absent: none was. */
  readonly position?: Position;
  /** The highest id sent since it began to catch up; absent: none was. */
  readonly lastId?: MessageId;
  /** Messages that are read from the store and not sent yet. */
  readonly readAhead: number;
}

/** Of a client that is connected. */
export interface ClientReplays {
  /** Messages from the store that it was sent and has not acknowledged, and how many it may have. */
  readonly inflight: number;
  readonly receiveMaximum: number;
  readonly replays: readonly ReplayState[];
}

export interface ReplaysPage {
  /** In the order of client ids and topic filters, with shared subscriptions first. */
  readonly replays: readonly ReplayState[];
  /** What to go on after; absent: there are no others. */
  readonly next?: string;
  /** How many catch up in all. */
  readonly total: number;
}

/**
 * The next `limit` of those that catch up, after a key. However many there are, no more are held than asked for: each is put
 * into its place among the first ones, or is none of them.
 */
export function nextCatchingUp(
  replays: Iterable<readonly [key: string, replay: { readonly state: ReplayState; readonly mode: string }]>,
  after: string,
  limit: number,
): ReplaysPage {
  const first: { readonly key: string; readonly replay: { readonly state: ReplayState } }[] = [];
  let total = 0;
  for (const [key, replay] of replays) {
    if (replay.mode !== "catching up") continue;
    total += 1;
    if (key <= after || (first.length > limit && key >= (first.at(-1)?.key ?? ""))) continue;
    let [low, high] = [0, first.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((first[middle]?.key ?? "") < key) low = middle + 1;
      else high = middle;
    }
    first.splice(low, 0, { key, replay });
    // One more than asked for tells that there are others.
    if (first.length > limit + 1) first.pop();
  }
  const page = first.slice(0, limit);
  const next = first.length > limit ? page.at(-1)?.key : undefined;
  return { replays: page.map(({ replay }) => replay.state), total, ...(next === undefined ? undefined : { next }) };
}
