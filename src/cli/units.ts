// Sizes and durations as EMQX writes them: "1MB", "15s", "1h30m".

const SIZE = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?$/i;
const SIZE_UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/i;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|[smhdw])/gi;
const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Bytes; a number without a unit is bytes. Undefined for what is no size. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  const [, amount, unit = "b"] = (typeof value === "string" && SIZE.exec(value.trim())) || [];
  return amount === undefined ? undefined : Math.round(Number(amount) * (SIZE_UNITS[unit.toLowerCase()] ?? 1));
}

/** Seconds. The unit must be written, except for 0. Undefined for what is no duration. */
export function parseDuration(value: unknown): number | undefined {
  if (value === 0 || value === "0") return 0;
  if (typeof value !== "string" || !DURATION.test(value.trim())) return undefined;
  let seconds = 0;
  for (const [, amount, unit = "s"] of value.matchAll(DURATION_PART)) {
    seconds += Number(amount) * (SECONDS[unit.toLowerCase()] ?? 1);
  }
  return seconds;
}

/** Seconds as `parseDuration` reads them, in the largest unit that divides them: 86400 is "24h", and 0.01 is "10ms". */
export function writeDuration(seconds: number): string {
  if (!Number.isInteger(seconds)) return `${Math.round(seconds * 1000)}ms`;
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
  ] as const;
  // A single day is told as "24h".
  const [unit, size] = units.find(([, size]) => seconds > size && seconds % size === 0) ?? ["s", 1];
  return `${seconds / size}${unit}`;
}

/** Seconds in the largest unit that divides them: 604800 is "7 days". */
export function describeDuration(seconds: number): string {
  const units: readonly [name: string, seconds: number][] = [
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ];
  const [name, size] = units.find(([, unit]) => seconds >= unit && seconds % unit === 0) ?? ["second", 1];
  const count = seconds / size;
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
