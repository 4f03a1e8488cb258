// What of a data directory goes into a backup, and what the user should know about what does not.

import { globSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import type { BackupContents } from "../backup/write-backup.ts";
import { describeStore, sqlitePath } from "../engine/store.ts";
import { type Backend, enabledBackend, type PluginConfig, parsePluginConfig } from "../plugin/config.ts";
import { problemsError, readOptionalConfigFile } from "./config-file.ts";
import type { DataPaths } from "./data-directory.ts";

export interface ChosenContents {
  readonly contents: BackupContents;
  readonly remarks: readonly string[];
}

/** Throws `ConfigFileError` for a configuration of the plugin that does not tell where the messages are. */
export function backupContents(paths: DataPaths): ChosenContents {
  const { directory } = paths;
  const { path, remark } = messages(paths);
  const databases = [
    // The first may be the older one: src/backup/copy-databases.ts tells why.
    { path: pathBelow(directory, paths.brokerDatabase), kind: "broker" as const },
    ...(path === undefined ? [] : [{ path, kind: "messages" as const }]),
  ].filter((database) => isFile(join(directory, database.path)));
  const candidates = [
    paths.ompConfig,
    paths.accounts,
    join(paths.plugins, "plugins.json"),
    ...globSync(join(paths.plugins, "*/config.hocon")),
  ];
  const files = [
    ...candidates.filter(isFile),
    ...globSync(join(paths.plugins, "*/release.json")).flatMap(packageFiles),
  ];
  const contents = { directory, databases, files: files.map((file) => pathBelow(directory, file)).sort() };
  return { contents, remarks: remark === undefined ? [] : [remark] };
}

/** The database with the messages, seen from the data directory; or why there is none. */
function messages({ directory, pluginConfig }: DataPaths): { readonly path?: string; readonly remark?: string } {
  const config = pluginSettings(pluginConfig);
  const backend = enabledBackend(config) ?? "sqlite";
  if (backend !== "sqlite") return { remark: elsewhere(config, backend, pluginConfig) };
  const database = sqlitePath(config, pluginConfig);
  const path = pathBelow(directory, database);
  if (!path.startsWith("../")) return { path };
  const remark = `the messages in ${database} are not in this backup, since that is outside of ${directory}: copy them with sqlite3's .backup`;
  return { remark };
}

/** The defaults where there is no file. */
function pluginSettings(path: string): PluginConfig {
  const file = readOptionalConfigFile(path);
  const result = parsePluginConfig(file?.document.value ?? {});
  if ("config" in result) return result.config;
  throw file === undefined ? new Error(`the defaults are wrong: ${path}`) : problemsError(file, result.problems);
}

function elsewhere(config: PluginConfig, backend: Backend, configPath: string): string {
  const where = describeStore(config, backend, configPath);
  return `the messages and subscriptions in ${where} are not in this backup: back that server up right after it`;
}

/** Of an installed package: all. Others have a name like that while they are written or removed. */
function packageFiles(release: string): string[] {
  return readdirSync(dirname(release), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

function pathBelow(directory: string, path: string): string {
  return relative(directory, path).split(sep).join("/");
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
