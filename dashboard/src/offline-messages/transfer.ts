// A long request that shows how far it is and can be cancelled: it ends when its page is left.

import { onBeforeUnmount, type Ref, ref } from "vue";

export interface Transfer<T> {
  readonly isRunning: Ref<boolean>;
  readonly isCancelled: Ref<boolean>;
  /** As the request tells it. */
  readonly progress: Ref<number>;
  readonly error: Ref<unknown>;
  /** Undefined: it was cancelled, or failed with `error`. */
  readonly run: (
    request: (progress: (value: number) => void, signal: AbortSignal) => Promise<T>,
  ) => Promise<T | undefined>;
  readonly cancel: () => void;
}

export function useTransfer<T>(): Transfer<T> {
  const isRunning = ref(false);
  const isCancelled = ref(false);
  const progress = ref(0);
  const error = ref<unknown>();
  let current = new AbortController();
  onBeforeUnmount(() => current.abort());
  return {
    isRunning,
    isCancelled,
    progress,
    error,
    async run(request) {
      current = new AbortController();
      const { signal } = current;
      [isRunning.value, isCancelled.value, progress.value, error.value] = [true, false, 0, undefined];
      try {
        return await request((value) => {
          progress.value = value;
        }, signal);
      } catch (failure) {
        if (signal.aborted) isCancelled.value = true;
        else error.value = failure;
        return undefined;
      } finally {
        isRunning.value = false;
      }
    },
    cancel: () => current.abort(),
  };
}
