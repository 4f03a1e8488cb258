// release.json of a package: what it must say, and what of it is shown.

import { parsePluginName } from "./plugin-name.ts";

/** The keys of `emqx_plugrel`; those that EMQX asks for are there, the others as the package has them. */
export interface ReleaseJson {
  readonly name: string;
  readonly rel_vsn: string;
  readonly description: string;
  /** Main application first, each `<app>-<version>`. */
  readonly rel_apps: readonly [string, ...string[]];
  readonly [key: string]: unknown;
}

/** Reads the text, which must be of this plugin; otherwise what is wrong with it, as the rest of a sentence about release.json. */
export function parseReleaseJson(text: string, nameAndVersion: string): ReleaseJson | string {
  let value: Partial<ReleaseJson>;
  try {
    value = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "is no object";
  const { name, rel_vsn, description, rel_apps } = value;
  for (const [key, found] of Object.entries({ name, rel_vsn, description })) {
    if (typeof found !== "string" || found === "") return `lacks ${key}, a text`;
  }
  const isList = Array.isArray(rel_apps) && rel_apps.length > 0;
  if (!isList || rel_apps.some((app) => typeof app !== "string" || parsePluginName(app) === undefined)) {
    return "lacks rel_apps, a list of <app>-<version>";
  }
  const expected = parsePluginName(nameAndVersion);
  if (name !== expected?.name || rel_vsn !== expected?.version)
    return `is of ${name}, version ${rel_vsn}, and not of ${nameAndVersion}`;
  return value as ReleaseJson;
}
