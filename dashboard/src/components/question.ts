// The question that is asked before something that cannot be undone: one at a time, shown by ConfirmDialog.

import { type MaybeRefOrGetter, ref, shallowRef } from "vue";

export interface Question {
  readonly title: string;
  /** May change while it is shown. */
  readonly text: MaybeRefOrGetter<string>;
  /** What the button says that does it. */
  readonly button: string;
  /** Has to be typed first. */
  readonly word?: string;
  /** `signal`: the dialog was closed. Its error is shown, and it can be done again. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export const question = shallowRef<Question>();
export const isAsking = ref(false);

/** Nothing is done before the user agrees. */
export function askBefore(asked: Question): void {
  question.value = asked;
  isAsking.value = true;
}
