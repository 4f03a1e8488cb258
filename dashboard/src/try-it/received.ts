// What the page's clients have received: the last messages, put on the page once for each frame, however many come.

import { ref, shallowRef } from "vue";
import type { ReceivedMessage } from "./page-clients.ts";

export interface Row extends ReceivedMessage {
  /** Counted from 1. */
  readonly number: number;
}

const MAX_ROWS = 200;

export class Received {
  /** The newest first. */
  readonly rows = shallowRef<readonly Row[]>([]);
  /** Those that are not kept any more too. */
  readonly total = ref(0);
  #fresh: Row[] = [];
  #count = 0;
  #frame: number | undefined;

  add(message: ReceivedMessage): void {
    this.#count += 1;
    this.#fresh.push({ ...message, number: this.#count });
    // A page that is hidden has no frames.
    if (this.#fresh.length > MAX_ROWS) this.#fresh.shift();
    this.#frame ??= requestAnimationFrame(() => this.#show());
  }

  clear(): void {
    [this.rows.value, this.#fresh, this.#count] = [[], [], 0];
    this.#show();
  }

  #show(): void {
    this.#frame = undefined;
    this.rows.value = [...this.#fresh.reverse(), ...this.rows.value].slice(0, MAX_ROWS);
    this.#fresh = [];
    this.total.value = this.#count;
  }
}
