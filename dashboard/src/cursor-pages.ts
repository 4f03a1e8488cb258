// One page of a long list at a time: each says where the next one begins.

import { type ComputedRef, computed, onBeforeUnmount, type Ref, ref, shallowRef, watch } from "vue";
import { useRoute, useRouter } from "vue-router";
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
  /** At the page that the address names, else at the first one, which begins at `position`. */
  readonly open: (position?: string) => Promise<void>;
  /** From the first page on. */
  readonly restart: () => Promise<void>;
}

/**
 * Loads nothing before `open`. `isInAddress`: the address tells the number of the page, and the browser's history where it
 * and those before it begin, so that Back and Reload lead to it again.
 */
export function usePages<T>(
  load: (position: string | undefined, signal: AbortSignal) => Promise<CursorPage<T>>,
  isInAddress = false,
): Pages<T> {
  const route = useRoute();
  const router = useRouter();
  const { name } = route;
  let first: string | undefined;
  const rows = shallowRef<readonly T[]>();
  const error = ref<unknown>();
  const isLoading = ref(false);
  /** Where the pages up to the one that is shown begin. */
  const starts = shallowRef<readonly (string | undefined)[]>([undefined]);
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
      if (page.data.length === 0 && page.meta.position === undefined && number.value > 1) {
        return await goTo(starts.value.slice(0, -1), "replace");
      }
      rows.value = page.data;
      position.value = page.meta.position;
    } catch (failure) {
      if (!signal.aborted) error.value = failure;
    } finally {
      if (!signal.aborted) isLoading.value = false;
    }
  }
  async function goTo(pages: readonly (string | undefined)[], how: "push" | "replace"): Promise<void> {
    if (!isInAddress || pages.length === number.value) {
      starts.value = pages;
      return reload();
    }
    const page = pages.length === 1 ? undefined : pages.length;
    await router[how]({ query: { ...route.query, page }, state: { starts: [...pages] } });
  }
  /** As the address says. A link from elsewhere knows no more than its number: it leads to the first page. */
  function take(): Promise<void> {
    const kept: unknown = isInAddress && route.query.page !== undefined ? history.state.starts : undefined;
    starts.value = Array.isArray(kept) ? kept : [first];
    return reload();
  }
  if (isInAddress) {
    watch(
      () => route.query.page,
      () => (route.name === name ? take() : undefined),
    );
  }
  onBeforeUnmount(() => current.abort());

  const hasNext = computed(() => position.value !== undefined);
  return {
    rows,
    error,
    isLoading,
    number,
    hasNext,
    isEmpty: computed(() => rows.value?.length === 0 && number.value === 1 && !hasNext.value),
    next: () => goTo([...starts.value, position.value], "push"),
    previous: () => goTo(starts.value.slice(0, -1), "push"),
    reload,
    open: (start) => {
      rows.value = undefined;
      first = start;
      return take();
    },
    restart: () => {
      rows.value = undefined;
      return goTo([first], "replace");
    },
  };
}
