// What a backup says of itself: its first file, which names all others with their sizes.

/** The layout of a backup: `manifest.json` first, then the files of the data directory below `data/`. */
const FORMAT = 1;
export const MANIFEST = "manifest.json";
export const DATA = "data";

/** Bytes of the manifest, files in a backup, and bytes of one that is no database. */
export const MAX_MANIFEST = 32 * 1024 * 1024;
const MAX_FILES = 100_000;
export const MAX_FILE = 64 * 1024 * 1024;
/** Bytes of a path and of one of its parts, and the number of its parts. */
const MAX_PATH = 1024;
const MAX_PART = 255;
const MAX_DEPTH = 40;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const BAD_PART = /^\.{0,2}$|[\u0000-\u001f\u007f\\]/;
/** Names at the top of a data directory that are the running broker's or the restore's own. */
const RESERVED = new Set(["omp.lock", "control.sock", ".restore"]);

/** Which tables a database has: sessions, retained messages and wills, or messages and subscriptions. */
export type DatabaseKind = "broker" | "messages";

export interface ManifestFile {
  /** In the data directory, with `/` between its parts. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Absent: an ordinary file. */
  readonly database?: DatabaseKind;
}

export interface Manifest {
  readonly format: number;
  /** The release of `omp` that wrote it. */
  readonly version: string;
  /** When the state that it holds was that of the broker: UTC, ISO 8601. */
  readonly created: string;
  readonly files: readonly ManifestFile[];
}

export function newManifest(version: string, created: Date, files: readonly ManifestFile[]): Manifest {
  return { format: FORMAT, version, created: created.toISOString(), files };
}

/** Reads a manifest; a text: the rest of a sentence on what is wrong with it. */
export function parseManifest(text: string): Manifest | string {
  let manifest: Partial<Manifest> | null;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    return `has a manifest that is no JSON (${(error as Error).message})`;
  }
  const { format, version, created, files } = manifest ?? {};
  if (typeof format !== "number" || typeof version !== "string") return "has a manifest that does not say its release";
  if (format > FORMAT) {
    return `was written by a newer release, omp ${version} (format ${format}, and this one knows up to ${FORMAT}): restore it with that release`;
  }
  if (format !== FORMAT || typeof created !== "string" || Number.isNaN(Date.parse(created)) || !Array.isArray(files)) {
    return "has a manifest that lacks its time or its files";
  }
  if (files.length > MAX_FILES) return `has more than ${MAX_FILES} files`;
  for (const file of files) {
    const problem = fileProblem(file);
    if (problem !== undefined) return problem;
  }
  if (new Set(files.map(({ path }) => path)).size < files.length) return "names a file twice in its manifest";
  return { format, version, created, files };
}

function fileProblem(file: Partial<ManifestFile> | null): string | undefined {
  const { path, size, database } = file ?? {};
  if (typeof path !== "string" || !isPathBelow(path)) {
    return `has a path that is not allowed: ${JSON.stringify(path)?.slice(0, MAX_PART)}`;
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return `does not say the size of ${path}`;
  if (database === undefined && size > MAX_FILE) return `has more than ${MAX_FILE} bytes in ${path}`;
  if (database !== undefined && database !== "broker" && database !== "messages") {
    return `has a database of an unknown kind: ${path}`;
  }
  return undefined;
}

/** A path that stays in the data directory, and takes no place there that is not the data's. */
function isPathBelow(path: string): boolean {
  const parts = path.split("/");
  return (
    Buffer.byteLength(path) <= MAX_PATH &&
    parts.length <= MAX_DEPTH &&
    parts.every((part) => !BAD_PART.test(part) && Buffer.byteLength(part) <= MAX_PART) &&
    !RESERVED.has(parts[0] ?? "")
  );
}
