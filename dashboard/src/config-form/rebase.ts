// A configuration that was changed on this page and on the broker meanwhile: what this page has changed goes over what is there now.

import type { Config } from "../api/plugins.ts";
import type { FormField } from "./fields.ts";
import { changesBetween, withValue } from "./values.ts";

export interface Rebased {
  /** As the broker has it now, with what this page has changed. */
  readonly config: Config;
  /** What was changed on the broker and not here, by the path with dots. */
  readonly taken: readonly string[];
  /** What was changed on both, to something else each time. */
  readonly conflicts: readonly string[];
}

/** `loaded`: what `edited` was made from. */
export function rebased(fields: readonly FormField[], loaded: Config, edited: Config, now: Config): Rebased {
  const names = (before: Config, after: Config) =>
    changesBetween(fields, before, after).map(({ field }) => field.path.join("."));
  const ours = changesBetween(fields, loaded, edited);
  const ourNames = new Set(names(loaded, edited));
  const theirs = names(loaded, now);
  const differing = new Set(names(edited, now));
  return {
    config: ours.reduce((config, { field, after }) => withValue(config, field.path, after ?? null), now),
    taken: theirs.filter((name) => !ourNames.has(name)),
    conflicts: theirs.filter((name) => ourNames.has(name) && differing.has(name)),
  };
}
