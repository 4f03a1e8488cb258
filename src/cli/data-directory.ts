// The data directory: what lies where, and how the plugin's configuration gets there at the first start.

import { accessSync, constants, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { isHalfRestored } from "../backup/place-restored.ts";
import { PLUGIN_NAME } from "../engine/release-info.ts";
import { makePrivateDirectory } from "../files/private-files.ts";
import { systemCause } from "../files/system-cause.ts";
import { SHIPPED_PLUGIN_CONFIG } from "./built-in-plugin.ts";
import { StartError } from "./cli-error.ts";
import { type ConfigFile, readConfigFile, readOptionalConfigFile } from "./config-file.ts";

export const DEFAULT_DATA_DIRECTORY = "data";

export interface DataPaths {
  readonly directory: string;
  /** The broker's configuration; it may be missing. */
  readonly ompConfig: string;
  /** What outlives the broker: sessions, wills, retained messages. */
  readonly brokerDatabase: string;
  /** Where plugins lie, with their configurations and stores. */
  readonly plugins: string;
  /** The configuration of the plugin that the broker brings. */
  readonly pluginConfig: string;
  /** Who may use the HTTP API. */
  readonly accounts: string;
  /** The socket by which `omp plugins` and its like reach the broker. */
  readonly controlSocket: string;
}

export function dataPaths(directory: string): DataPaths {
  const root = resolve(directory);
  return {
    directory: root,
    ompConfig: join(root, "omp.hocon"),
    brokerDatabase: join(root, "broker.db"),
    plugins: join(root, "plugins"),
    pluginConfig: join(root, "plugins", PLUGIN_NAME, "config.hocon"),
    accounts: join(root, "accounts.json"),
    controlSocket: join(root, "control.sock"),
  };
}

/** Sees that a data directory that is there can be read. Throws `StartError`. */
export function checkDataDirectory({ directory }: DataPaths): void {
  try {
    // What else is wrong with it is told when it is made.
    if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return;
    accessSync(directory, constants.R_OK | constants.X_OK);
  } catch (error) {
    const message = `cannot read the data directory ${directory}: ${systemCause(error)}: give this user the right to, or choose another with --data-dir`;
    throw new StartError(message, { cause: error });
  }
}

/** Makes the data directory if it is missing. Throws `StartError`. */
export function makeDataDirectory({ directory }: DataPaths): void {
  try {
    makePrivateDirectory(directory);
  } catch (error) {
    const message = `cannot make the data directory ${directory}: ${systemCause(error)}: choose another with --data-dir`;
    throw new StartError(message, { cause: error });
  }
}

/** Sees that no restore was killed while it put files in place. Throws `StartError`. */
export function checkRestored({ directory }: DataPaths): void {
  if (!isHalfRestored(directory)) return;
  const message = `omp restore was interrupted while it put files into ${directory}: run it again with --force (what was there before is in before-restore-…)`;
  throw new StartError(message);
}

/** What SQLite keeps of a database: the file, and what lies beside it after a kill. */
const DATABASE_FILES = ["", "-wal", "-shm"];

/**
 * Puts aside the broker's database, which would be out of date when it is used again; returns a warning if there was
 * one. Throws `StartError` when it cannot be moved.
 */
export function putDatabaseAside({ brokerDatabase }: DataPaths): string | undefined {
  if (statSync(brokerDatabase, { throwIfNoEntry: false }) === undefined) return undefined;
  const aside = `${brokerDatabase}.old`;
  try {
    for (const ending of DATABASE_FILES) {
      rmSync(aside + ending, { force: true });
      if (statSync(brokerDatabase + ending, { throwIfNoEntry: false }) !== undefined) {
        renameSync(brokerDatabase + ending, aside + ending);
      }
    }
  } catch (error) {
    const message = `cannot put ${brokerDatabase} aside: ${systemCause(error)}: move it away, or set durable_sessions.enable = true`;
    throw new StartError(message, { cause: error });
  }
  return `durable_sessions.enable is false: the sessions of ${brokerDatabase} are not used, and are put aside in ${aside}`;
}

/** The plugin's configuration file, and what the user should know about how it was chosen. */
export interface ChosenPluginConfig {
  readonly file: ConfigFile;
  readonly warning?: string;
}

/**
 * The file of the data directory counts once it is there; the plugin puts it there when it starts. Before, it is `seedPath`, or the
 * shipped file. Throws `ConfigFileError`.
 */
export function choosePluginConfig({ pluginConfig }: DataPaths, seedPath: string | undefined): ChosenPluginConfig {
  const existing = readOptionalConfigFile(pluginConfig);
  const given = seedPath === undefined ? undefined : readConfigFile(seedPath);
  if (existing === undefined) return { file: given ?? readConfigFile(SHIPPED_PLUGIN_CONFIG) };
  const isIgnored = given !== undefined && given.text !== existing.text;
  const warning = `--plugin-config ${seedPath} is not used: ${pluginConfig} is there already and counts`;
  return { file: existing, warning: isIgnored ? warning : undefined };
}
