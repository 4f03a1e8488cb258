// Numbers, sizes and times as the reader's language and time zone have them.

import { computed } from "vue";
import { i18n } from "./texts/index.ts";

const UNITS = [
  [1024 ** 3, "GiB"],
  [1024 ** 2, "MiB"],
  [1024, "KiB"],
] as const;

const SPANS = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
] as const;
/** What is further away is told by its date, in ms. */
const FAR = 7 * 86_400_000;

const TIME = {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  hourCycle: "h23",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  timeZoneName: "short",
} as const;

/** Made once for a language: that takes longer than to format with them. */
const formats = computed(() => {
  const locale = i18n.global.locale.value;
  return {
    number: new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }),
    small: new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }),
    time: new Intl.DateTimeFormat(locale, TIME),
    date: new Intl.DateTimeFormat(locale, { dateStyle: "medium" }),
    ago: new Intl.RelativeTimeFormat(locale, { numeric: "auto" }),
  };
});

/** With a digit after the point where it is small. */
export function formatNumber(number: number): string {
  return formats.value[number < 100 ? "small" : "number"].format(number);
}

export function formatPerSecond(number: number): string {
  return `${formatNumber(number)}/s`;
}

export function formatBytes(bytes: number): string {
  const [size, unit] = UNITS.find(([least]) => bytes >= least) ?? [1, "B"];
  return `${formats.value.small.format(bytes / size)} ${unit}`;
}

/** `time` in ms since the epoch. */
export function formatTime(time: number): string {
  return formats.value.time.format(time);
}

/** How long ago, or how soon; a date where that is more than a week. */
export function formatAgo(time: number, now = Date.now()): string {
  const away = time - now;
  if (Math.abs(away) >= FAR) return formats.value.date.format(time);
  const [span, unit] = SPANS.find(([least]) => Math.abs(away) >= least) ?? [1_000, "second"];
  return formats.value.ago.format(Math.trunc(away / span), unit);
}
