// The pieces that a configuration schema is made of. Each reads one value and reports what is wrong with it.

/** Where a value stands in the configuration, and what is wrong with it. */
export interface ConfigProblem {
  readonly path: readonly string[];
  /** A sentence that names the key and tells what to write. */
  readonly message: string;
}

type Report = (path: readonly string[], message: string) => void;

export interface Field<T> {
  readonly default: T;
  /** The fields of a section, by name. */
  readonly fields?: Readonly<Record<string, Field<unknown>>>;
  /** The value, or the default after reporting a problem. */
  read(value: unknown, path: readonly string[], report: Report): T;
}

/** The type of the values that a field reads. */
export type ValueOf<F> = F extends Field<infer T> ? T : never;

/** Reads a whole configuration: gives it with all defaults, and every problem in it. */
export function readConfig<T>(schema: Field<T>, value: unknown): { config: T; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const config = schema.read(value, [], (path, message) => problems.push({ path, message }));
  return { config, problems };
}

/** A field from a test of its values: `expected` completes the sentence "… must be …". */
export function field<T>(defaultValue: T, expected: string, parse: (value: unknown) => T | undefined): Field<T> {
  return {
    default: defaultValue,
    read(value, path, report) {
      if (isAbsent(value)) return defaultValue;
      const parsed = parse(value);
      if (parsed !== undefined) return parsed;
      report(path, `${path.join(".")} must be ${expected}${isSecret(path) ? "" : `, not ${show(value)}`}`);
      return defaultValue;
    },
  };
}

/** Messages reach logs and screens: what stands under such a key is not for them. */
function isSecret(path: readonly string[]): boolean {
  return /(?:password|secret)$/.test(path.at(-1) ?? "");
}

export function flag(defaultValue: boolean): Field<boolean> {
  return field(defaultValue, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
}

export function text(defaultValue: string): Field<string> {
  return field(defaultValue, "text in quotes", (value) => (typeof value === "string" ? value : undefined));
}

/** A text that nobody mistakes where it is copied from one place to another. */
export function line(defaultValue: string): Field<string> {
  return field(defaultValue, "text in quotes, one line without blanks at its ends", (value) =>
    typeof value === "string" && lineProblem(value) === undefined ? value : undefined,
  );
}

/** Completes the sentence "it …"; undefined: it is one line without blanks at its ends. */
export function lineProblem(value: string): string | undefined {
  if (/[\r\n]/.test(value)) return "has several lines";
  return value === value.trim() ? undefined : "begins or ends with a blank";
}

export function choice<const T extends string>(defaultValue: T, ...others: readonly T[]): Field<T> {
  const values = [defaultValue, ...others];
  const expected = values.map((value) => JSON.stringify(value)).join(" or ");
  return field(defaultValue, expected, (value) => values.find((known) => known === value));
}

export interface Range {
  readonly min: number;
  readonly max?: number;
  /** Of the number, for the error. */
  readonly unit?: string;
}

/** A whole number. */
export function integer(defaultValue: number, { min, max = Number.MAX_SAFE_INTEGER, unit }: Range): Field<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return field(defaultValue, `a whole number ${range}${unit === undefined ? "" : ` (${unit})`}`, (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max ? (value as number) : undefined,
  );
}

/** An array of texts; `check` says what is wrong with one of them. */
export function textList(check: (item: string) => string | undefined): Field<readonly string[]> {
  return {
    default: [],
    read(value, path, report) {
      if (isAbsent(value)) return [];
      if (!Array.isArray(value)) {
        report(path, `${path.join(".")} must be an array of texts such as ["t/#"], not ${show(value)}`);
        return [];
      }
      for (const [index, item] of value.entries()) {
        const problem = typeof item === "string" ? check(item) : `must be text in quotes, not ${show(item)}`;
        if (problem !== undefined) report([...path, String(index)], `${path.join(".")}: item ${index + 1}: ${problem}`);
      }
      return value;
    },
  };
}

type SectionValue<Fields> = { readonly [Name in keyof Fields]: ValueOf<Fields[Name]> };

/** An object with these keys, each of them optional, and no others. */
export function section<const Fields extends Readonly<Record<string, Field<unknown>>>>(
  fields: Fields,
): Field<SectionValue<Fields>> {
  const readFields = (value: Readonly<Record<string, unknown>>, path: readonly string[], report: Report) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, inner]) => {
        const given = Object.hasOwn(value, name) ? value[name] : undefined;
        return [name, inner.read(given, [...path, name], report)];
      }),
    ) as SectionValue<Fields>;
  const self: Field<SectionValue<Fields>> = {
    default: readFields({}, [], () => {}),
    fields,
    read(value, path, report) {
      if (isAbsent(value)) return self.default;
      if (typeof value !== "object" || Array.isArray(value)) {
        const name = path.length === 0 ? "the configuration" : path.join(".");
        report(path, `${name} must be an object in braces, not ${show(value)}`);
        return self.default;
      }
      for (const name of Object.keys(value as object)) {
        if (Object.hasOwn(fields, name)) continue;
        const key = [...path, name];
        const nearest = nearestKey(key, self);
        report(
          key,
          `${key.join(".")} is no known key${nearest === undefined ? "" : `: the nearest one is ${nearest}`}`,
        );
      }
      return readFields(value as Readonly<Record<string, unknown>>, path, report);
    },
  };
  return self;
}

/** All keys of a section, with dots; sections inside it are named too. */
export function keyPaths(schema: Field<unknown>, path: readonly string[] = []): string[] {
  const own = path.length === 0 ? [] : [path.join(".")];
  return [...own, ...Object.entries(schema.fields ?? {}).flatMap(([name, inner]) => keyPaths(inner, [...path, name]))];
}

/** The known key that was probably meant; undefined when none is alike in half of its characters. */
function nearestKey(key: readonly string[], parent: Field<unknown>): string | undefined {
  const name = key.at(-1) ?? "";
  const above = key.slice(0, -1);
  const candidates = keyPaths(parent).map((path) => {
    const inner = path.split(".");
    const edits = editDistance(name, inner.at(-1) ?? "");
    // A key of the same section is nearer than one that only another section has.
    return { path: [...above, ...inner].join("."), edits, distance: edits + inner.length };
  });
  const alike = candidates.filter(({ edits }) => edits * 2 <= name.length);
  return alike.sort((a, b) => a.distance - b.distance)[0]?.path;
}

/** How many characters must be put in, taken out or replaced to make one text the other (Levenshtein). */
export function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 0; at < from.length; at++) {
    const next = [at + 1];
    for (let other = 0; other < to.length; other++) {
      const replaced = (row[other] ?? 0) + (from[at] === to[other] ? 0 : 1);
      next.push(Math.min(replaced, (row[other + 1] ?? 0) + 1, (next[other] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** EMQX writes `null` for what is not set. */
function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

const LONGEST_SHOWN = 60;

function show(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  const shown = JSON.stringify(value);
  return shown.length <= LONGEST_SHOWN ? shown : `${shown.slice(0, LONGEST_SHOWN)}…`;
}
