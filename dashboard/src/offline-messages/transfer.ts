// A long request that shows how far it is and can be cancelled: it ends when its page is left, which is asked before.

import { onBeforeUnmount, onMounted, type Ref, ref } from "vue";
import { useI18n } from "vue-i18n";
import { onBeforeRouteLeave, onBeforeRouteUpdate, type RouteLocationNormalized } from "vue-router";
import { session } from "../api/session.ts";

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
  const { t } = useI18n();
  const mayLeave = (): boolean => !isRunning.value || session.user === undefined || confirm(t("offline.leave"));
  const tabOf = ({ query }: RouteLocationNormalized) => query.tab ?? "topics";
  const warn = (event: BeforeUnloadEvent): void => {
    if (isRunning.value) event.preventDefault();
  };
  onBeforeRouteLeave(mayLeave);
  onBeforeRouteUpdate((to, from) => tabOf(to) === tabOf(from) || mayLeave());
  onMounted(() => addEventListener("beforeunload", warn));
  onBeforeUnmount(() => {
    removeEventListener("beforeunload", warn);
    current.abort();
  });
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
