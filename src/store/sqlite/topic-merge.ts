// Walks the messages of several topics in the order of their row ids, reading each topic's part of the index in chunks.

import type { Database } from "./database.ts";

const SELECT_IDS_OF_TOPIC = "SELECT id FROM mqtt_msg WHERE topic = ? AND id > ? ORDER BY id LIMIT ?";

/** Row ids read at once per topic: few at first, since most topics give few to a page. */
const FIRST_CHUNK = 4;
const MAX_CHUNK = 256;

interface Branch {
  readonly topic: string;
  ids: number[];
  at: number;
  chunk: number;
}

export class TopicMerge {
  readonly #database: Database;
  /** A binary heap: the branch with the lowest next id is at index 0. */
  readonly #heap: Branch[] = [];

  constructor(database: Database, topics: readonly string[], after: number) {
    this.#database = database;
    for (const topic of topics) {
      const branch: Branch = { topic, ids: [], at: 0, chunk: FIRST_CHUNK };
      if (this.#fill(branch, after)) this.#heap.push(branch);
    }
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The next row id; undefined at the end. */
  next(): number | undefined {
    const branch = this.#heap[0];
    if (branch === undefined) return undefined;
    const id = nextId(branch);
    branch.at++;
    if (branch.at === branch.ids.length && !this.#fill(branch, id)) {
      const last = this.#heap.pop() as Branch;
      if (this.#heap.length === 0) return id;
      if (last !== branch) this.#heap[0] = last;
    }
    this.#sink(0);
    return id;
  }

  get ended(): boolean {
    return this.#heap.length === 0;
  }

  #fill(branch: Branch, after: number): boolean {
    branch.ids = this.#database
      .rows<[id: number]>(SELECT_IDS_OF_TOPIC, branch.topic, after, branch.chunk)
      .map(([id]) => id);
    branch.at = 0;
    branch.chunk = Math.min(MAX_CHUNK, branch.chunk * 4);
    return branch.ids.length > 0;
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const branch = heap[start] as Branch;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && nextId(heap[child + 1] as Branch) < nextId(heap[child] as Branch)) child++;
      if (nextId(branch) <= nextId(heap[child] as Branch)) break;
      heap[at] = heap[child] as Branch;
      at = child;
    }
    heap[at] = branch;
  }
}

function nextId(branch: Branch): number {
  return branch.ids[branch.at] as number;
}
