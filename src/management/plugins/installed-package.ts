// A package's directory: written whole or not at all, read as a plugin, and removed.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ENGINE_FILE, type EngineModule } from "../../plugin/engine-module.ts";
import type { PluginPackage } from "./package-archive.ts";
import { parsePluginName } from "./plugin-name.ts";
import type { PluginSource } from "./plugin-source.ts";
import { parseReleaseJson, type ReleaseJson } from "./release-json.ts";

/** Begins the name of a directory that is being written or removed: no plugin has such a name. */
const UNFINISHED = ".unfinished-";
/** In a package's directory: the sum of its archive. */
export const RESERVED_FILE = ".md5sum";
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** Writes a package below `folder`. Rejects with the system's error; then nothing is left. */
export async function writePackage(folder: string, { info, files }: PluginPackage, md5sum: string): Promise<void> {
  const name = `${info.name}-${info.rel_vsn}`;
  const directory = join(folder, name);
  const unfinished = join(folder, UNFINISHED + name);
  await rm(unfinished, { recursive: true, force: true });
  try {
    // What is there is no plugin, or it would be installed.
    await removePackage(folder, name);
    for (const [path, data] of files) await writePrivate(join(unfinished, path), data);
    await writePrivate(join(unfinished, RESERVED_FILE), `${md5sum}\n`);
    await rename(unfinished, directory);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

/** Removes a package's directory, if it is there. One that is interrupted is finished when packages are found the next time. */
export async function removePackage(folder: string, nameAndVersion: string): Promise<void> {
  const unfinished = join(folder, UNFINISHED + nameAndVersion);
  await rm(unfinished, { recursive: true, force: true });
  try {
    await rename(join(folder, nameAndVersion), unfinished);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await rm(unfinished, { recursive: true, force: true });
}

export interface FoundPackages {
  readonly sources: readonly PluginSource[];
  /** What is wrong with directories that are no package. */
  readonly problems: readonly string[];
}

/** The packages below `folder`. What was not finished is removed. Never rejects. */
export async function findPackages(folder: string): Promise<FoundPackages> {
  const sources: PluginSource[] = [];
  const problems: string[] = [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(({ code, message }: NodeJS.ErrnoException) => {
    if (code !== "ENOENT") problems.push(`no packages are looked for in ${folder}: ${message}`);
    return [];
  });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const directory = join(folder, name);
    if (name.startsWith(UNFINISHED)) {
      await rm(directory, { recursive: true, force: true }).catch(({ message }: Error) => problems.push(message));
    } else if (parsePluginName(name) !== undefined) {
      const source = await packageSource(directory, name).catch(({ message }: Error) => `is passed over: ${message}`);
      if (typeof source === "string") problems.push(`${directory} ${source}`);
      else sources.push(source);
    }
  }
  return { sources, problems };
}

/** A package that lies in `directory`; a text: what is wrong with it. */
export async function packageSource(directory: string, nameAndVersion: string): Promise<PluginSource | string> {
  const text = await readFile(join(directory, "release.json"), "utf8").catch(() => undefined);
  const info = text === undefined ? "is missing" : parseReleaseJson(text, nameAndVersion);
  if (typeof info === "string") return `is passed over: its release.json ${info}`;
  const md5sum = await readOptional(join(directory, RESERVED_FILE));
  return new PackageSource(directory, info, md5sum.trim());
}

class PackageSource implements PluginSource {
  readonly info: ReleaseJson;
  readonly md5sum: string;
  readonly #directory: string;
  readonly #application: string;

  constructor(directory: string, info: ReleaseJson, md5sum: string) {
    this.info = info;
    this.md5sum = md5sum;
    this.#directory = directory;
    this.#application = join(directory, info.rel_apps[0]);
  }

  readme(): Promise<string> {
    return readOptional(join(this.#directory, "README.md"));
  }

  async schema(): Promise<{ avsc: unknown; i18n: unknown }> {
    const read = async (file: string): Promise<unknown> => {
      const text = await readOptional(join(this.#application, "priv", file));
      return text === "" ? null : JSON.parse(text);
    };
    return { avsc: await read("config_schema.avsc"), i18n: await read("config_i18n.json") };
  }

  shippedConfig(): Promise<string> {
    return readOptional(join(this.#application, "priv", "config.hocon"));
  }

  async load(): Promise<EngineModule> {
    const file = pathToFileURL(join(this.#application, ENGINE_FILE));
    // Another package of the same name and version is another module.
    file.searchParams.set("md5sum", this.md5sum);
    return import(file.href);
  }
}

async function writePrivate(path: string, data: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
  await writeFile(path, data, { mode: FILE_MODE });
}

/** Empty: there is no such file. */
async function readOptional(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
