// A plugin's package: everything about it is checked before a file of it is written.

import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Parser, type ReadEntry } from "tar";
import { ENGINE_FILE } from "../../plugin/engine-module.ts";
import { ApiError } from "../api-error.ts";
import { parseReleaseJson, type ReleaseJson } from "./release-json.ts";

/** Bytes of a package, as it comes and unpacked. Both are in memory while it is installed. */
export const MAX_ARCHIVE_BYTES = 32 * 1024 * 1024;
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
const MAX_FILES = 10_000;
/** Bytes of a path, and of one of its parts. */
const MAX_PATH = 1024;
const MAX_PART = 255;

/** What a file may be called that others look for: no device of Windows, no line break, nothing invisible. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const BAD_PART = /[\u0000-\u001f\u007f\\:]/;
const FILE_TYPES: ReadonlySet<string> = new Set(["File", "OldFile", "ContiguousFile"]);

export interface PluginPackage {
  readonly info: ReleaseJson;
  /** By their paths below the package's directory. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** Reads a package of this name. Rejects with `ApiError` 400, code BAD_PLUGIN_INFO. */
export async function readPackage(archive: Uint8Array, nameAndVersion: string): Promise<PluginPackage> {
  const refuse = (problem: string, cause?: unknown) =>
    new ApiError(400, "BAD_PLUGIN_INFO", `${nameAndVersion}.tar.gz ${problem}.`, { cause });
  const files = new Map<string, Buffer>();
  try {
    for (const { path, data } of await entriesOf(await unzip(archive))) {
      const [directory, ...rest] = path;
      if (directory !== nameAndVersion) throw new Problem(`has ${path.join("/")} outside of ${nameAndVersion}/`);
      if (data === undefined) continue;
      const name = rest.join("/");
      if (name === "") throw new Problem(`has a file in the place of the directory ${nameAndVersion}`);
      if (files.has(name)) throw new Problem(`has ${path.join("/")} twice`);
      files.set(name, data);
    }
  } catch (error) {
    if (error instanceof Problem) throw refuse(error.message);
    throw refuse(`cannot be read: ${(error as Error).message}`, error);
  }
  const text = files.get("release.json")?.toString("utf8");
  const info = text === undefined ? "is missing" : parseReleaseJson(text, nameAndVersion);
  if (typeof info === "string") throw refuse(`cannot be installed: its release.json ${info}`);
  for (const path of files.keys()) {
    for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
      if (files.has(path.slice(0, at))) throw refuse(`has ${path.slice(0, at)} as a file and as a directory`);
    }
  }
  if (!files.has(`${info.rel_apps[0]}/${ENGINE_FILE}`)) {
    throw refuse(
      `is a package for EMQX alone: it has no engine module (${info.rel_apps[0]}/${ENGINE_FILE}) that this broker could run`,
    );
  }
  return { info, files };
}

/** The rest of a sentence about the package. */
class Problem extends Error {}

async function unzip(archive: Uint8Array): Promise<Buffer> {
  let tar: Buffer;
  try {
    tar = await promisify(gunzip)(archive, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch (error) {
    if (error instanceof RangeError) {
      throw new Problem(`has more than ${MAX_UNPACKED_BYTES} bytes when it is unpacked`);
    }
    throw new Problem(`is no whole gzip file (${(error as Error).message})`);
  }
  // The parser would unpack it once more, and without our limit.
  const isPackedAgain = tar.readUInt16BE(0) === 0x1f8b || tar.readUInt32BE(0) === 0x28b52ffd;
  if (tar.length < 512 || isPackedAgain) throw new Problem("has no tar file in it");
  return tar;
}

interface Entry {
  /** Its parts. */
  readonly path: readonly string[];
  /** Absent: a directory. */
  readonly data?: Buffer;
}

function entriesOf(tar: Buffer): Promise<Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: Entry[] = [];
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry) => {
        try {
          if (entries.length >= MAX_FILES) throw new Problem(`has more than ${MAX_FILES} files`);
          collect(entry, entries);
        } catch (error) {
          reject(error);
          entry.resume();
        }
      },
    });
    parser.on("error", reject);
    parser.on("end", () => resolve(entries));
    parser.end(tar);
  });
}

function collect(entry: ReadEntry, entries: Entry[]): void {
  const path = checkPath(entry.path);
  if (entry.type === "Directory") {
    entries.push({ path });
    entry.resume();
    return;
  }
  if (!FILE_TYPES.has(entry.type)) {
    throw new Problem(`has ${entry.path}, which is neither file nor directory (${entry.type})`);
  }
  const chunks: Buffer[] = [];
  entry.on("data", (chunk: Buffer) => chunks.push(chunk));
  entry.on("end", () => entries.push({ path, data: Buffer.concat(chunks) }));
}

/** The parts of a path that stays below its beginning. */
function checkPath(path: string): string[] {
  const parts = path.replace(/\/+$/, "").split("/");
  const isBad = (part: string): boolean =>
    part === "" || part === "." || part === ".." || BAD_PART.test(part) || Buffer.byteLength(part) > MAX_PART;
  if (Buffer.byteLength(path) > MAX_PATH || parts.some(isBad)) {
    throw new Problem(`has a path that is not allowed: ${JSON.stringify(path.slice(0, MAX_PART))}`);
  }
  return parts;
}
