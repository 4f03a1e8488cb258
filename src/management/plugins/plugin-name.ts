// Names of plugins, as EMQX 6 takes them: `<name>-<version>`.

import { ApiError } from "../api-error.ts";

const NAME = /^([A-Za-z]+\w*)-([\w.-]+)$/;
const MAX_LENGTH = 256;
const ARCHIVE_ENDING = ".tar.gz";

const RULE =
  "a name is one of an application (a letter, then letters, digits and underscores), a dash, and a version (letters, digits, " +
  "dots and dashes), such as emqx_plugin_template-5.0-rc.1";

export interface PluginName {
  readonly name: string;
  readonly version: string;
}

/** Reads `<name>-<version>`; undefined: it is none. */
export function parsePluginName(text: string): PluginName | undefined {
  const [, name, version] = (text.length <= MAX_LENGTH && NAME.exec(text)) || [];
  // A version of dots alone is a path.
  return name === undefined || version === undefined || /^\.+$/.test(version) ? undefined : { name, version };
}

/** The same of a path's parameter. Throws `ApiError` 400. */
export function checkPluginName(text: string): string {
  if (parsePluginName(text) !== undefined) return text;
  throw new ApiError(400, "BAD_REQUEST", `${JSON.stringify(text)} is no plugin's name: ${RULE}.`);
}

/** The plugin that a package's file name stands for. Throws `ApiError` 400. */
export function pluginOfArchive(fileName: string): string {
  const name = fileName.endsWith(ARCHIVE_ENDING) ? fileName.slice(0, -ARCHIVE_ENDING.length) : "";
  if (parsePluginName(name) !== undefined) return name;
  throw new ApiError(
    400,
    "BAD_PLUGIN_INFO",
    `Bad plugin file name: ${fileName}. It is <name>-<version>${ARCHIVE_ENDING}, and ${RULE}.`,
  );
}
