// Programs and files of Debian packages for tests: the machine's own programs, else unpacked into .cache/debian, without
// installing anything and without starting a service. Works as root and as a normal user.

import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "./child.ts";
import { withFileLock } from "./file-lock.ts";

/** How long one call of apt-get or dpkg-deb may take, in ms. */
const STEP_TIMEOUT = 300_000;
/** Servers live in sbin, which a normal user's PATH lacks. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const PROGRAM_FOLDERS = ["usr/bin", "usr/sbin", "bin", "sbin"];

const cache = resolve(dirname(fileURLToPath(import.meta.url)), "../../.cache/debian");

/** A program that can be started. */
export interface Tool {
  /** Absolute path of the executable. */
  readonly path: string;
  /** The environment that it needs (its libraries may be unpacked beside it). */
  readonly env: NodeJS.ProcessEnv;
  /** Where its packages are unpacked; absent when the machine's own is used. */
  readonly root?: string;
}

/** The program, or in words why there is none: give `missing` to a test's `skip`. */
export type ToolLookup =
  | { readonly tool: Tool; readonly missing?: undefined }
  | { readonly tool?: undefined; readonly missing: string };

/**
 * Finds a program on PATH, else unpacks the named packages with the dependencies that this machine lacks. Never rejects.
 * `suffices` may say no to the machine's own, which may be there without what goes with it.
 */
export async function debianTool(
  packages: readonly string[],
  command: string,
  suffices: (path: string) => boolean = () => true,
): Promise<ToolLookup> {
  const own = findExecutable([...(process.env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS], command);
  if (own !== undefined && suffices(own)) return { tool: { path: own, env: process.env } };
  const { root, missing } = await debianFiles(packages);
  if (root === undefined) return { missing: `${command} is missing: ${missing}` };
  const path = findExecutable(
    PROGRAM_FOLDERS.map((folder) => join(root, folder)),
    command,
  );
  if (path === undefined) return { missing: `${command} is missing, and ${packages.join(" ")} does not contain it` };
  return { tool: { path, env: environment(root), root } };
}

/** Where the files of packages are unpacked, as below `/`, or in words why they are not. */
export type FilesLookup =
  | { readonly root: string; readonly missing?: undefined }
  | { readonly root?: undefined; readonly missing: string };

/** Unpacks the named packages with the dependencies that this machine lacks, unless they are. Never rejects. */
export async function debianFiles(packages: readonly string[]): Promise<FilesLookup> {
  const root = join(cache, packages.join("+"));
  try {
    if (!existsSync(root)) {
      await withFileLock(join(cache, "lock"), async () => {
        if (!existsSync(root)) await unpack(packages, root);
      });
    }
    return { root };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return { missing: `install ${packages.join(" ")} (unpacking the packages failed: ${cause})` };
  }
}

function findExecutable(folders: readonly string[], command: string): string | undefined {
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, command))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Unpacks beside the final place and renames, so that a half-unpacked folder is never used. */
async function unpack(packages: readonly string[], root: string): Promise<void> {
  const work = `${root}.part`;
  rmSync(work, { recursive: true, force: true });
  const debs = join(work, "debs");
  mkdirSync(debs, { recursive: true });
  try {
    await download(packages, debs, []);
  } catch {
    // No package lists on this machine, or old ones that name files which are gone: fetch lists of our own.
    const options = ownLists();
    await step("apt-get", [...options, "update"]);
    await download(packages, debs, options);
  }
  for (const deb of readdirSync(debs)) await step("dpkg-deb", ["-x", join(debs, deb), work]);
  rmSync(debs, { recursive: true });
  renameSync(work, root);
}

/** Downloads the packages themselves and every dependency that this machine lacks. */
async function download(packages: readonly string[], folder: string, options: readonly string[]): Promise<void> {
  const plan = await step("apt-get", [
    ...options,
    ...["--simulate", "--reinstall", "--no-install-recommends", "-o", "Debug::NoLocking=1", "install", ...packages],
  ]);
  const chosen = [...plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)].map(
    ([, name, version]) => `${name}=${version}`,
  );
  if (chosen.length === 0) throw new Error(`apt-get found nothing to download for ${packages.join(" ")}`);
  await step("apt-get", [...options, ...sandbox(), "download", ...chosen], folder);
}

/** Package lists of our own, where apt-get may write as any user. */
function ownLists(): string[] {
  const lists = join(cache, "apt/lists");
  const archives = join(cache, "apt/cache");
  mkdirSync(join(lists, "partial"), { recursive: true });
  mkdirSync(join(archives, "archives/partial"), { recursive: true });
  return ["-o", `Dir::State::Lists=${lists}`, "-o", `Dir::Cache=${archives}`, ...sandbox()];
}

/** As root, apt-get would download as the user _apt, who may not write here. */
function sandbox(): string[] {
  return process.getuid?.() === 0 ? ["-o", "APT::Sandbox::User=root"] : [];
}

async function step(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const env = { ...process.env, LC_ALL: "C", PATH: [process.env.PATH, ...SYSTEM_FOLDERS].join(delimiter) };
  const { code, stdout, stderr } = await runChild(command, args, { cwd, env, timeout: STEP_TIMEOUT });
  if (code !== 0)
    throw new Error(`${command}: ${stderr.match(/^E: .*/m)?.[0] ?? (stderr.trim() || `exit code ${code}`)}`);
  return stdout;
}

/** Folders of libraries that programs find by their path below /usr. */
const PRIVATE_LIBRARIES = ["pulseaudio"];

function environment(root: string): NodeJS.ProcessEnv {
  const libraries = ["usr/lib", "lib"]
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => [
      ...readdirSync(folder)
        .filter((name) => name.includes("-linux-"))
        .flatMap((name) => [join(folder, name), ...PRIVATE_LIBRARIES.map((inner) => join(folder, name, inner))]),
      folder,
    ]);
  const programs = PROGRAM_FOLDERS.map((folder) => join(root, folder));
  return {
    ...process.env,
    LD_LIBRARY_PATH: [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter),
    PATH: [...programs, process.env.PATH].filter(Boolean).join(delimiter),
  };
}
