// A plugin's package: everything about it is checked before a file of it is written.

import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Parser, type ReadEntry } from "tar";
import { parseHocon } from "../../hocon/parse.ts";
import { ENGINE_FILE } from "../../plugin/engine-module.ts";
import { ApiError } from "../api-error.ts";
import { RESERVED_FILE } from "./installed-package.ts";
import { parseReleaseJson, type ReleaseJson } from "./release-json.ts";

/** Bytes of a package, as it comes and unpacked. Both are in memory while it is installed. */
export const MAX_ARCHIVE_BYTES = 32 * 1024 * 1024;
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
const MAX_FILES = 10_000;
/** Bytes of a path and of one of its parts, and the number of its parts. */
const MAX_PATH = 1024;
const MAX_PART = 255;
const MAX_DEPTH = 32;
/** Bytes of a header that describes the next file. */
const MAX_META = 64 * 1024;
/** Bytes of release.json, which is read in one go. */
const MAX_RELEASE_JSON = 64 * 1024;
/** Bytes of the tar file that are read in one turn of the event loop. */
const CHUNK = 256 * 1024;

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
      if (rest[0] === RESERVED_FILE) throw new Problem(`has ${path.join("/")}, a name that the broker uses`);
      if (name === "") throw new Problem(`has a file in the place of the directory ${nameAndVersion}`);
      if (files.has(name)) throw new Problem(`has ${path.join("/")} twice`);
      files.set(name, data);
    }
  } catch (error) {
    if (error instanceof Problem) throw refuse(error.message);
    throw refuse(`cannot be read: ${(error as Error).message}`, error);
  }
  const release = files.get("release.json");
  if (release !== undefined && release.length > MAX_RELEASE_JSON) {
    throw refuse(`has more than ${MAX_RELEASE_JSON} bytes in its release.json`);
  }
  const info = release === undefined ? "is missing" : parseReleaseJson(release.toString("utf8"), nameAndVersion);
  if (typeof info === "string") throw refuse(`cannot be installed: its release.json ${info}`);
  const directories = new Set([...files.keys()].flatMap(directoriesOf));
  for (const path of directories) if (files.has(path)) throw refuse(`has ${path} as a file and as a directory`);
  if (!files.has(`${info.rel_apps[0]}/${ENGINE_FILE}`)) {
    throw refuse(
      `is a package for EMQX alone: it has no engine module (${info.rel_apps[0]}/${ENGINE_FILE}) that this broker could run`,
    );
  }
  const problem = readableProblem(files, directories, info.rel_apps[0]);
  if (problem !== undefined) throw refuse(problem);
  return { info, files };
}

/** What the broker reads of a package must be readable; undefined: it is. */
function readableProblem(
  files: ReadonlyMap<string, Buffer>,
  directories: ReadonlySet<string>,
  application: string,
): string | undefined {
  const priv = (file: string) => `${application}/priv/${file}`;
  const readers: Readonly<Record<string, (text: string) => unknown>> = {
    "README.md": () => {},
    [`${application}/priv`]: () => {},
    [priv("config.hocon")]: parseHocon,
    [priv("config_schema.avsc")]: JSON.parse,
    [priv("config_i18n.json")]: JSON.parse,
  };
  for (const [path, read] of Object.entries(readers)) {
    const isDirectory = path.endsWith("/priv");
    if (isDirectory ? files.has(path) : directories.has(path)) {
      return `has ${path} as a ${isDirectory ? "file" : "directory"}`;
    }
    try {
      const data = files.get(path);
      if (data !== undefined) read(data.toString("utf8"));
    } catch (error) {
      return `has a ${path} that cannot be read: ${(error as Error).message}`;
    }
  }
  return undefined;
}

/** `a/b/c`: `a` and `a/b`. */
function directoriesOf(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join("/"));
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
  const isPackedAgain = () => tar.readUInt16BE(0) === 0x1f8b || tar.readUInt32BE(0) === 0x28b52ffd;
  if (tar.length < 512 || isPackedAgain()) throw new Problem("has no tar file in it");
  return tar;
}

interface Entry {
  /** Its parts. */
  readonly path: readonly string[];
  /** Absent: a directory. */
  readonly data?: Buffer;
}

/** Reads on only while nothing is wrong, and lets others have their turn. */
async function entriesOf(tar: Buffer): Promise<Entry[]> {
  const entries: Entry[] = [];
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let refusal: { readonly error: unknown } | undefined;
  const refuse = (error: unknown): void => {
    refusal ??= { error };
    end();
  };
  const parser = new Parser({
    strict: true,
    maxMetaEntrySize: MAX_META,
    onReadEntry: (entry) => {
      try {
        if (refusal !== undefined) entry.resume();
        else if (entries.length >= MAX_FILES) throw new Problem(`has more than ${MAX_FILES} files`);
        else collect(entry, entries);
      } catch (error) {
        refuse(error);
        entry.resume();
      }
    },
  });
  parser.on("error", refuse);
  parser.on("end", end);
  for (let at = 0; at < tar.length && refusal === undefined; at += CHUNK) {
    parser.write(tar.subarray(at, at + CHUNK));
    await nextTurn();
  }
  if (refusal === undefined) parser.end();
  await ended;
  if (refusal !== undefined) throw (refusal as { readonly error: unknown }).error;
  return entries;
}

function collect(entry: ReadEntry, entries: Entry[]): void {
  // As `tar -C directory .` writes it.
  const path = checkPath(entry.path.replace(/^\.\/(?=.)/, ""), entry.type === "Directory");
  if (path.length === 0) {
    entry.resume();
    return;
  }
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

/** The parts of a path that stays below its beginning; none of the directory at its beginning itself. */
function checkPath(path: string, isDirectory: boolean): string[] {
  if (isDirectory && /^\.\/?$/.test(path)) return [];
  const parts = path.replace(/\/+$/, "").split("/");
  const isBad = (part: string): boolean =>
    part === "" || part === "." || part === ".." || BAD_PART.test(part) || Buffer.byteLength(part) > MAX_PART;
  if (Buffer.byteLength(path) > MAX_PATH || parts.length > MAX_DEPTH || parts.some(isBad)) {
    throw new Problem(`has a path that is not allowed: ${JSON.stringify(path.slice(0, MAX_PART))}`);
  }
  return parts;
}
