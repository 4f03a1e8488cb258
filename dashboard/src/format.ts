// Numbers, sizes and times as people read them, in the language of the page.

import { useI18n } from "vue-i18n";

export interface Formats {
  number(value: number): string;
  bytes(value: number): string;
  perSecond(value: number): string;
  /** How long ago that was, such as “3 minutes ago”. */
  ago(time: number): string;
  /** Date and time in the viewer's time zone. */
  absolute(time: number): string;
}

const SIZES = ["B", "KB", "MB", "GB", "TB"] as const;
const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

export function useFormats(): Formats {
  const { locale } = useI18n();
  const number = (value: number): string =>
    new Intl.NumberFormat(locale.value, { maximumFractionDigits: value < 100 ? 1 : 0 }).format(value);
  return {
    number,
    bytes(value) {
      const step = Math.min(Math.floor(Math.log(Math.max(value, 1)) / Math.log(1024)), SIZES.length - 1);
      return `${number(value / 1024 ** step)} ${SIZES[step]}`;
    },
    perSecond: (value) => `${number(value)}/s`,
    ago(time) {
      const seconds = (time - Date.now()) / 1000;
      const [unit, size] = UNITS.find(([, size]) => -seconds >= size) ?? ["second", 1];
      const relative = new Intl.RelativeTimeFormat(locale.value, { numeric: "auto" });
      return relative.format(Math.round(Math.min(seconds, 0) / size), unit);
    },
    absolute: (time) => new Intl.DateTimeFormat(locale.value, { dateStyle: "medium", timeStyle: "long" }).format(time),
  };
}
