// All topics that match a filter in an order that the broker has none for: loaded whole, and shown a page at a time.

import { type CursorPage, listTopics, type Topic } from "../api/offline-messages.ts";

export const COLUMNS = ["topic", "messages", "bytes", "oldest_publish_at", "newest_publish_at"] as const;
export type Column = (typeof COLUMNS)[number];

export interface Order {
  readonly column: Column;
  readonly isDescending: boolean;
}

/** Topics that are loaded at once, and in all: what is beyond is not in the order. */
const AT_ONCE = 10_000;
export const MAX_SORTED = 100_000;
/** Of a page. */
const LIMIT = 100;

/** As an address tells it: a column, after a minus the largest first. Undefined: as the broker has them. */
export function orderOf(text: string): Order | undefined {
  const isDescending = text.startsWith("-");
  const column = COLUMNS.find((name) => name === (isDescending ? text.slice(1) : text));
  return column && { column, isDescending };
}

export class SortedTopics {
  /** Loaded anew for a first page. */
  #loaded: { readonly key: string; readonly topics: readonly Topic[] } | undefined;
  /** There are more than are sorted. */
  isCut = false;

  /** Rejects as `listTopics`. */
  async page(filter: string, order: Order, position = "0", signal?: AbortSignal): Promise<CursorPage<Topic>> {
    const key = JSON.stringify([filter, order]);
    if (position === "0" || this.#loaded?.key !== key) {
      this.#loaded = { key, topics: (await this.#all(filter, signal)).sort(inOrder(order)) };
    }
    const start = Number(position);
    const { topics } = this.#loaded;
    const data = topics.slice(start, start + LIMIT);
    return { data, meta: start + LIMIT < topics.length ? { position: String(start + LIMIT) } : {} };
  }

  async #all(filter: string, signal?: AbortSignal): Promise<Topic[]> {
    const topics: Topic[] = [];
    let position: string | undefined;
    do {
      const page: CursorPage<Topic> = await listTopics(filter, position, signal, AT_ONCE);
      topics.push(...page.data);
      position = page.meta.position;
    } while (position !== undefined && topics.length < MAX_SORTED);
    this.isCut = position !== undefined;
    return topics;
  }
}

function inOrder({ column, isDescending }: Order): (a: Topic, b: Topic) => number {
  const direction = isDescending ? -1 : 1;
  return (a, b) => direction * compare(a[column] ?? 0, b[column] ?? 0);
}

function compare(a: string | number, b: string | number): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
