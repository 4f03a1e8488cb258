// What can go wrong with MQTT in the page, and how it is told.

import { useI18n } from "vue-i18n";
import type { DashboardTexts } from "../texts/en.ts";

export class MqttProblem extends Error {
  readonly kind: keyof DashboardTexts["tryIt"]["problems"];
  readonly values: Readonly<Record<string, string>>;

  constructor(kind: MqttProblem["kind"], values: MqttProblem["values"] = {}) {
    super(kind);
    this.name = "MqttProblem";
    this.kind = kind;
    this.values = values;
  }
}

/** For `ErrorNote`: a text for problems of MQTT, other errors as they are. */
export function useProblemTexts(): (failure: unknown) => unknown {
  const { t } = useI18n();
  return (failure) => {
    if (!(failure instanceof MqttProblem)) return failure;
    const { kind, values } = failure;
    if (kind !== "noWebSocket") return t(`tryIt.problems.${kind}`, values);
    return t("tryIt.problems.noWebSocket", {
      ...values,
      secure: values.secure === "" ? "" : t("tryIt.problems.secure"),
    });
  };
}

/** Throws `MqttProblem`. */
export function checkTopic(topic: string): void {
  if (topic === "" || /[+#]/.test(topic)) throw new MqttProblem("badTopic");
}

/** Throws `MqttProblem`. */
export function checkFilter(filter: string): void {
  const levels = filter.split("/");
  const isRight = levels.every((level, index) => {
    return level === "+" || (level === "#" && index === levels.length - 1) || !/[+#]/.test(level);
  });
  if (filter === "" || !isRight) throw new MqttProblem("badFilter");
}
