// Numbers, sizes and times as the reader's language and time zone have them.

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

const locale = (): string => i18n.global.locale.value;

export function formatNumber(number: number): string {
  return number.toLocaleString(locale());
}

export function formatBytes(bytes: number): string {
  const [size, unit] = UNITS.find(([least]) => bytes >= least) ?? [1, "B"];
  return `${(bytes / size).toLocaleString(locale(), { maximumFractionDigits: size === 1 ? 0 : 1 })} ${unit}`;
}

/** `time` in ms since the epoch. */
export function formatTime(time: number): string {
  const fields = { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" } as const;
  const rest = { second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "short" } as const;
  return new Date(time).toLocaleString(locale(), { ...fields, ...rest });
}

/** How long ago, or how soon; a date where that is more than a week. */
export function formatAgo(time: number, now: number): string {
  const away = time - now;
  if (Math.abs(away) >= FAR) return new Date(time).toLocaleDateString(locale(), { dateStyle: "medium" });
  const [span, unit] = SPANS.find(([least]) => Math.abs(away) >= least) ?? [1_000, "second"];
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.trunc(away / span), unit);
}
