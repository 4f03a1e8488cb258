// Unpacks a backup: whatever is in it is checked against its manifest before it is written.

import { createReadStream, createWriteStream, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Parser, type ReadEntry } from "tar";
import { makePrivateDirectory } from "../files/private-files.ts";
import { BackupError, BackupInvalidError } from "./backup-error.ts";
import { DATA, MANIFEST, MAX_MANIFEST, type Manifest, type ManifestFile, parseManifest } from "./manifest.ts";

const FILE_MODE = 0o600;
const FILE_TYPES: ReadonlySet<string> = new Set(["File", "OldFile", "ContiguousFile"]);
/** Bytes of a header that describes the next file. */
const MAX_META = 64 * 1024;
/** Bytes of headers and padding, for each file and in all. */
const FILE_OVERHEAD = 8 * 1024;
const OVERHEAD = 1024 * 1024;

/**
 * Writes the files of a backup below an empty directory. Rejects with `BackupInvalidError` for a file that is none, and
 * with `BackupError`; what was written till then is left to the caller.
 */
export async function unpackBackup(file: string, directory: string): Promise<Manifest> {
  const unpacking = new Unpacking(directory);
  try {
    await pipeline(createReadStream(file), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) await unpacking.write(chunk);
    });
    return await unpacking.end();
  } catch (error) {
    throw refusal(error, file);
  }
}

/** The rest of a sentence about the file. */
class Problem extends Error {}

function refusal(error: unknown, file: string): Error {
  if (error instanceof Problem) return new BackupInvalidError(`${file} ${error.message}`);
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (code.startsWith("Z_")) return new BackupInvalidError(`${file} is no whole backup (${message})`, { cause: error });
  if (code.startsWith("TAR_"))
    return new BackupInvalidError(`${file} has no whole tar file in it (${message})`, { cause: error });
  return new BackupError(`${file} cannot be unpacked (${message})`, { cause: error });
}

class Unpacking {
  readonly #directory: string;
  readonly #parser: Parser;
  readonly #missing = new Map<string, ManifestFile>();
  #manifest: Manifest | undefined;
  #bytes = 0;
  /** Bytes that there may be in all. */
  #limit = MAX_MANIFEST + OVERHEAD;
  #failure: { readonly error: unknown } | undefined;
  /** Told when the parser takes more, has ended, or something is wrong. */
  #changed = Promise.withResolvers<void>();
  #hasEnded = false;
  #underWay = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(directory: string) {
    this.#directory = directory;
    this.#parser = new Parser({
      strict: true,
      maxMetaEntrySize: MAX_META,
      onReadEntry: (entry) => {
        this.#underWay++;
        // The next one may come while what was said in the last one is still being taken in.
        this.#last = this.#last.then(() => this.#receive(entry));
      },
    });
    this.#parser.on("error", (error: unknown) => this.#fail(error));
    this.#parser.on("drain", () => this.#tell());
    this.#parser.on("end", () => {
      this.#hasEnded = true;
      this.#tell();
    });
  }

  /** Settles when more can be taken. Rejects at the first thing that is wrong. */
  async write(chunk: Buffer): Promise<void> {
    // The parser would unpack it once more, and without our limit.
    if (this.#bytes === 0 && (chunk.length < 4 || isPacked(chunk))) throw new Problem("has no tar file in it");
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limit) throw new Problem("has more in it than its manifest says");
    this.#changed = Promise.withResolvers();
    const takesMore = this.#parser.write(chunk);
    if (!takesMore && this.#failure === undefined) await this.#changed.promise;
    this.#check();
  }

  /** Settles when everything is written. */
  async end(): Promise<Manifest> {
    if (this.#bytes > 0) this.#parser.end();
    else throw new Problem("is empty");
    while (this.#failure === undefined && !(this.#hasEnded && this.#underWay === 0)) {
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
    this.#check();
    if (this.#manifest === undefined) throw new Problem(`has no ${MANIFEST}: omp backup did not write it`);
    const [missing] = this.#missing.keys();
    if (missing !== undefined) throw new Problem(`lacks ${missing}, which its manifest names`);
    return this.#manifest;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve();
  }

  async #receive(entry: ReadEntry): Promise<void> {
    try {
      this.#check();
      if (this.#manifest === undefined) await this.#readManifest(entry);
      else await this.#writeFile(entry);
    } catch (error) {
      this.#fail(error);
      entry.resume();
    } finally {
      this.#underWay--;
      this.#tell();
    }
  }

  async #readManifest(entry: ReadEntry): Promise<void> {
    if (entry.path !== MANIFEST || !FILE_TYPES.has(entry.type)) {
      throw new Problem(`does not begin with ${MANIFEST}: omp backup did not write it`);
    }
    if (entry.size > MAX_MANIFEST) throw new Problem(`has a manifest of more than ${MAX_MANIFEST} bytes`);
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
    const manifest = parseManifest(Buffer.concat(chunks).toString("utf8"));
    if (typeof manifest === "string") throw new Problem(manifest);
    const size = manifest.files.reduce((sum, file) => sum + file.size, 0);
    const { bavail, bsize } = statfsSync(this.#directory);
    if (size > bavail * bsize) {
      throw new BackupError(
        `${this.#directory} has room for ${bavail * bsize} bytes, and the backup needs ${size}: make room`,
      );
    }
    for (const file of manifest.files) this.#missing.set(file.path, file);
    this.#limit = this.#bytes + size + manifest.files.length * FILE_OVERHEAD + OVERHEAD;
    this.#manifest = manifest;
  }

  async #writeFile(entry: ReadEntry): Promise<void> {
    if (entry.type === "Directory") {
      entry.resume();
      return;
    }
    const path = entry.path.startsWith(`${DATA}/`) ? entry.path.slice(DATA.length + 1) : "";
    const file = this.#missing.get(path);
    if (file === undefined)
      throw new Problem(`has ${JSON.stringify(entry.path)} in it, which its manifest does not name`);
    if (!FILE_TYPES.has(entry.type)) throw new Problem(`has ${path} as something else than a file (${entry.type})`);
    if (entry.size !== file.size)
      throw new Problem(`has ${entry.size} bytes in ${path}, and its manifest says ${file.size}`);
    this.#missing.delete(path);
    const target = join(this.#directory, path);
    makePrivateDirectory(dirname(target));
    await pipeline(
      entry as AsyncIterable<Buffer>,
      createWriteStream(target, { flags: "wx", mode: FILE_MODE, flush: true }),
    );
  }
}

function isPacked(chunk: Buffer): boolean {
  return chunk.readUInt16BE(0) === 0x1f8b || chunk.readUInt32BE(0) === 0x28b52ffd;
}
