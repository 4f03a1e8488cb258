// What the page's clients have received: the last messages, put on the page once for each frame, however many come.

import { onBeforeUnmount, type Ref, ref, shallowRef } from "vue";
import type { ReceivedMessage } from "./page-clients.ts";

export interface Row extends ReceivedMessage {
  /** Counted from 1. */
  readonly number: number;
}

export interface Received {
  /** The newest first. */
  readonly rows: Ref<readonly Row[]>;
  /** Those that are not kept any more too. */
  readonly total: Ref<number>;
  add(message: ReceivedMessage): void;
  clear(): void;
}

const MAX_ROWS = 200;

export function useReceived(): Received {
  const rows = shallowRef<readonly Row[]>([]);
  const total = ref(0);
  let all: readonly Row[] = [];
  let fresh: Row[] = [];
  let count = 0;
  let frame: number | undefined;

  function show(): void {
    frame = undefined;
    all = [...fresh.reverse(), ...all].slice(0, MAX_ROWS);
    fresh = [];
    rows.value = all;
    total.value = count;
  }
  onBeforeUnmount(() => {
    if (frame !== undefined) cancelAnimationFrame(frame);
  });
  return {
    rows,
    total,
    add(message) {
      count += 1;
      fresh.push({ ...message, number: count });
      // A page that is hidden has no frames.
      if (fresh.length > MAX_ROWS) fresh.shift();
      frame ??= requestAnimationFrame(show);
    },
    clear() {
      [all, fresh, count] = [[], [], 0];
      show();
    },
  };
}
