// Reads configuration files and turns what is wrong in one into lines that name the file and the line.

import { closeSync, openSync, readSync } from "node:fs";
import { isNoSuchFile } from "../files/no-such-file.ts";
import { systemCause } from "../files/system-cause.ts";
import type { HoconDocument } from "../hocon/document.ts";
import { HoconError } from "../hocon/hocon-error.ts";
import { MAX_CONFIG_BYTES, parseHocon } from "../hocon/parse.ts";
import type { ConfigProblem } from "../plugin/config-schema.ts";
import { ConfigFileError } from "./cli-error.ts";

/** A configuration file with its content. */
export interface ConfigFile {
  /** As the user knows it. */
  readonly path: string;
  readonly text: string;
  readonly document: HoconDocument;
}

/** Reads and parses a file. Throws `ConfigFileError`. */
export function readConfigFile(path: string): ConfigFile {
  return parseConfigFile(path, readText(path));
}

/** As `readConfigFile`; undefined when there is no such file. */
export function readOptionalConfigFile(path: string): ConfigFile | undefined {
  try {
    return readConfigFile(path);
  } catch (error) {
    if (error instanceof ConfigFileError && isNoSuchFile(error.cause)) return undefined;
    throw error;
  }
}

/** The error with one line for each problem, in the order of the file. */
export function problemsError(file: ConfigFile, problems: readonly ConfigProblem[]): ConfigFileError {
  const placed = problems.map(({ path, message }) => ({ line: file.document.positionOf(path)?.line ?? 1, message }));
  placed.sort((a, b) => a.line - b.line);
  return new ConfigFileError(placed.map(({ line, message }) => `${file.path}:${line}: ${message}`));
}

function parseConfigFile(path: string, text: string): ConfigFile {
  try {
    return { path, text, document: parseHocon(text) };
  } catch (error) {
    if (!(error instanceof HoconError)) throw error;
    const { line, column } = error.position;
    throw new ConfigFileError([`${path}:${line}: ${error.message} (column ${column})`], { cause: error });
  }
}

/** The text of a file that is written by hand. Throws `ConfigFileError`. */
export function readText(path: string): string {
  const bytes = readBytes(path);
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new ConfigFileError([`${path}: is larger than ${MAX_CONFIG_BYTES} bytes: is it a configuration file?`]);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ConfigFileError([`${path}: is not text in UTF-8: save it in that encoding`], { cause: error });
  }
}

/** At most one byte more than the largest file. */
function readBytes(path: string): Uint8Array {
  try {
    const file = openSync(path, "r");
    try {
      const buffer = Buffer.allocUnsafe(MAX_CONFIG_BYTES + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        read = readSync(file, buffer, length, buffer.length - length, null);
      }
      return buffer.subarray(0, length);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new ConfigFileError([`${path}: cannot be read: ${systemCause(error)}`], { cause: error });
  }
}
