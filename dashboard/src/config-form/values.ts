// Values of a configuration by their path: read, set, compared, checked.

import type { Config, Json } from "../api/plugins.ts";
import { type FormField, leavesOf } from "./fields.ts";

/** How the server shows a secret; given back it means: unchanged. */
export const MASK = "******";

export interface Change {
  readonly field: FormField;
  readonly before: Json | undefined;
  readonly after: Json | undefined;
}

/** By the path with dots. */
export type Problems = Readonly<Record<string, string>>;

export function valueAt(config: Config, path: readonly string[]): Json | undefined {
  let value: Json | undefined = config;
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = (value as { readonly [key: string]: Json })[key];
  }
  return value;
}

/** The configuration with another value there. */
export function withValue(config: Config, [key, ...rest]: readonly string[], value: Json): Config {
  if (key === undefined) return config;
  const inner = config[key];
  const isObject = typeof inner === "object" && inner !== null && !Array.isArray(inner);
  return { ...config, [key]: rest.length === 0 ? value : withValue(isObject ? (inner as Config) : {}, rest, value) };
}

export function changesBetween(fields: readonly FormField[], before: Config, after: Config): Change[] {
  return leavesOf(fields).flatMap((field) => {
    const [was, is] = [valueAt(before, field.path), valueAt(after, field.path)];
    return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ field, before: was, after: is }];
  });
}

export interface ProblemTexts {
  readonly required: string;
  readonly number: string;
  readonly large: string;
  readonly below: (min: number) => string;
  readonly above: (max: number) => string;
}

/** What is wrong with a number; undefined: nothing, or there is none. */
export function numberProblem(
  { kind, isWhole, min, max }: FormField,
  value: Json | undefined,
  texts: ProblemTexts,
): string | undefined {
  if (kind !== "number" || value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) return texts.number;
  if (isWhole && !Number.isInteger(value)) return texts.number;
  // Any larger one is rounded before it is sent.
  if (isWhole && !Number.isSafeInteger(value)) return texts.large;
  if (min !== undefined && value < min) return texts.below(min);
  return max !== undefined && value > max ? texts.above(max) : undefined;
}

/** What can be seen to be wrong without the server: texts by their key. */
export function problemsIn(fields: readonly FormField[], config: Config, texts: ProblemTexts): Problems {
  const problems: Record<string, string> = {};
  for (const field of leavesOf(fields)) {
    const value = valueAt(config, field.path);
    const isEmpty = value === undefined || value === null || value === "";
    const problem = field.isRequired && isEmpty ? texts.required : numberProblem(field, value, texts);
    if (problem !== undefined) problems[field.path.join(".")] = problem;
  }
  return problems;
}

/** What the server says of items of a list and the like is shown at their field. */
export function problemsAtFields(
  fields: readonly FormField[],
  problems: readonly (readonly [path: string, message: string])[],
): Problems {
  const known = leavesOf(fields).map(({ path }) => path.join("."));
  const shown: Record<string, string> = {};
  for (const [path, message] of problems) {
    const field = known.find((of) => path === of || path.startsWith(`${of}.`)) ?? path;
    shown[field] = shown[field] === undefined ? message : `${shown[field]}; ${message}`;
  }
  return shown;
}

/** Keys of a configuration that the form does not know, with dots. */
export function unknownKeys(fields: readonly FormField[], config: Config, path = ""): string[] {
  return Object.entries(config).flatMap(([key, value]) => {
    const field = fields.find(({ name }) => name === key);
    if (field === undefined) return [path + key];
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return field.kind === "record" && isObject ? unknownKeys(field.fields, value as Config, `${path}${key}.`) : [];
  });
}

/** What the upper one leaves out stays as it is. */
export function merged(under: Config, over: Config): Config {
  const isObject = (value: Json | undefined): value is Config =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const changed = Object.entries(over).map(([key, value]) => {
    const inner = under[key];
    return [key, isObject(inner) && isObject(value) ? merged(inner, value) : value];
  });
  return { ...under, ...Object.fromEntries(changed) };
}

/** Without the items of lists that were added and not filled in. */
export function withoutEmptyItems(fields: readonly FormField[], config: Config): Config {
  return leavesOf(fields).reduce((cleaned, { kind, path }) => {
    const items = valueAt(cleaned, path);
    if (kind !== "array" || !Array.isArray(items) || !items.includes("")) return cleaned;
    return withValue(
      cleaned,
      path,
      items.filter((item) => item !== ""),
    );
  }, config);
}
