// The data directory: what lies where, and how the plugin's configuration gets there at the first start.

import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { makePrivateDirectory } from "../sqlite/private-files.ts";
import { StartError, systemCause } from "./cli-error.ts";
import { type ConfigFile, readConfigFile, readOptionalConfigFile } from "./config-file.ts";

export const PLUGIN_NAME = "emqx_offline_message_plugin";

/** The configuration that ships with the plugin. */
export const SHIPPED_PLUGIN_CONFIG = fileURLToPath(new URL("../plugin/priv/config.hocon", import.meta.url));

/** Passwords stand in it. */
const CONFIG_MODE = 0o600;

export interface DataPaths {
  readonly directory: string;
  /** The broker's configuration; it may be missing. */
  readonly ompConfig: string;
  /** What outlives the broker: sessions, wills, retained messages. */
  readonly brokerDatabase: string;
  /** The plugin's configuration. */
  readonly pluginConfig: string;
}

export function dataPaths(directory: string): DataPaths {
  const root = resolve(directory);
  return {
    directory: root,
    ompConfig: join(root, "omp.hocon"),
    brokerDatabase: join(root, "broker.db"),
    pluginConfig: join(root, "plugins", PLUGIN_NAME, "config.hocon"),
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
  /** Puts the file into the data directory if it is not there yet; returns a warning when that is impossible. */
  seed(): string | undefined;
}

/**
 * The file of the data directory counts once it is there. Before, it is `seedPath`, or the shipped file. Throws
 * `ConfigFileError`.
 */
export function choosePluginConfig({ pluginConfig }: DataPaths, seedPath: string | undefined): ChosenPluginConfig {
  const existing = readOptionalConfigFile(pluginConfig);
  const given = seedPath === undefined ? undefined : readConfigFile(seedPath);
  if (existing !== undefined) {
    const isIgnored = given !== undefined && given.text !== existing.text;
    const warning = `--plugin-config ${seedPath} is not used: ${pluginConfig} is there already and counts`;
    return { file: existing, warning: isIgnored ? warning : undefined, seed: () => undefined };
  }
  const file = given ?? readConfigFile(SHIPPED_PLUGIN_CONFIG);
  return {
    file,
    seed() {
      try {
        makePrivateDirectory(dirname(pluginConfig));
        writeFileAtomically(pluginConfig, file.text);
        return undefined;
      } catch (error) {
        const origin = seedPath === undefined ? "the shipped configuration" : seedPath;
        return `cannot write ${pluginConfig} (${systemCause(error)}): the plugin runs with ${origin} this time`;
      }
    },
  };
}

/** The whole new content or nothing: it is written beside the file, and then renamed. */
function writeFileAtomically(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w", CONFIG_MODE);
  try {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
