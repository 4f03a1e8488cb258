// One page of a long list at a time: each says where the next one begins.

import { type ComputedRef, computed, onBeforeUnmount, type Ref, ref, shallowRef } from "vue";
import type { CursorPage } from "./api/offline-messages.ts";

export interface Pages<T> {
  /** Of the page that is shown; undefined: none was loaded yet. */
  readonly rows: Ref<readonly T[] | undefined>;
  readonly error: Ref<unknown>;
  readonly isLoading: Ref<boolean>;
  /** Counted from 1. */
  readonly number: ComputedRef<number>;
  readonly hasNext: ComputedRef<boolean>;
  /** There is nothing on this page and no other one. */
  readonly isEmpty: ComputedRef<boolean>;
  readonly next: () => Promise<void>;
  readonly previous: () => Promise<void>;
  readonly reload: () => Promise<void>;
  /** From the first page on, which begins at `position`. */
  readonly restart: (position?: string) => Promise<void>;
}

/** Loads nothing before `restart`. */
export function usePages<T>(
  load: (position: string | undefined, signal: AbortSignal) => Promise<CursorPage<T>>,
): Pages<T> {
  const rows = shallowRef<readonly T[]>();
  const error = ref<unknown>();
  const isLoading = ref(false);
  /** Where the pages up to the one that is shown begin. */
  const starts = ref<(string | undefined)[]>([undefined]);
  const position = ref<string>();
  const number = computed(() => starts.value.length);
  let current = new AbortController();

  async function reload(): Promise<void> {
    current.abort();
    current = new AbortController();
    const { signal } = current;
    isLoading.value = true;
    error.value = undefined;
    try {
      const page = await load(starts.value.at(-1), signal);
      if (signal.aborted) return;
      // What was here is gone, and nothing follows.
      if (page.data.length === 0 && page.meta.position === undefined && number.value > 1) return await previous();
      rows.value = page.data;
      position.value = page.meta.position;
    } catch (failure) {
      if (!signal.aborted) error.value = failure;
    } finally {
      if (!signal.aborted) isLoading.value = false;
    }
  }
  function goTo(pages: (string | undefined)[]): Promise<void> {
    starts.value = pages;
    return reload();
  }
  const previous = (): Promise<void> => goTo(starts.value.slice(0, -1));
  onBeforeUnmount(() => current.abort());

  const hasNext = computed(() => position.value !== undefined);
  return {
    rows,
    error,
    isLoading,
    number,
    hasNext,
    isEmpty: computed(() => rows.value?.length === 0 && number.value === 1 && !hasNext.value),
    next: () => goTo([...starts.value, position.value]),
    previous,
    reload,
    restart: (first) => {
      rows.value = undefined;
      return goTo([first]);
    },
  };
}
