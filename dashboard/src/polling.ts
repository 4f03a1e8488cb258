// Asks again and again while a page is shown: a few seconds after each answer, and not while the page is hidden.

import { onBeforeUnmount, onMounted, type Ref, ref } from "vue";

export interface Polled<T> {
  readonly data: Ref<T | undefined>;
  /** Of the last time; undefined: it went well. */
  readonly error: Ref<unknown>;
  /** Asks now. */
  readonly reload: () => Promise<void>;
}

/** `interval` in ms. */
export function usePolling<T>(load: (signal: AbortSignal) => Promise<T>, interval = 5000): Polled<T> {
  const data = ref<T>() as Ref<T | undefined>;
  const error = ref<unknown>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let current = new AbortController();

  const reload = async (): Promise<void> => {
    clearTimeout(timer);
    current.abort();
    current = new AbortController();
    const { signal } = current;
    try {
      const loaded = await load(signal);
      if (signal.aborted) return;
      data.value = loaded;
      error.value = undefined;
    } catch (failure) {
      if (signal.aborted) return;
      error.value = failure;
    }
    timer = setTimeout(() => (document.hidden ? undefined : reload()), interval);
  };
  const shown = (): void => {
    if (!document.hidden) void reload();
  };
  onMounted(() => {
    document.addEventListener("visibilitychange", shown);
    void reload();
  });
  onBeforeUnmount(() => {
    document.removeEventListener("visibilitychange", shown);
    clearTimeout(timer);
    current.abort();
  });
  return { data, error, reload };
}
