// Debian's MariaDB for tests: where mariadbd and its files are, and a data directory with the system tables, made once per
// machine in .cache/mariadb and copied for each server (making it takes seconds, copying it no time).

import { constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "./child.ts";
import { debianTool, type Tool } from "./debian-tool.ts";
import { withFileLock } from "./file-lock.ts";

const lookup = await debianTool(["mariadb-server"], "mariadbd");

/** Why there is no mariadbd; undefined: there is one. Give it to a test's `skip`. */
export const mariadbMissing: string | undefined = lookup.missing;
if (mariadbMissing !== undefined) console.error(`MARIADB IS NOT TESTED: ${mariadbMissing}`);

/** The account that may do everything, from anywhere. */
export const ADMINISTRATOR = { username: "root", password: "administrator password" } as const;

/** How long a step of making the template may take, in ms. */
const STEP_TIMEOUT = 120_000;
/** Part of the template's name: another number makes it anew where an older one is. */
const TEMPLATE = 1;

const cache = resolve(dirname(fileURLToPath(import.meta.url)), "../../.cache/mariadb");

/** What a data directory is made with and must be used with: a small log, and no files for undo. */
const STORAGE = [
  "--innodb-log-file-size=8M",
  "--innodb-undo-tablespaces=0",
  "--innodb-buffer-pool-size=16M",
  // Native asynchronous I/O is scarce where many servers run, and missing in some file systems and containers.
  "--innodb-use-native-aio=0",
];

/** What is in the way, or makes a copy larger: bootstrap mode takes one statement a line. */
const TEMPLATE_SQL = [
  "DROP DATABASE sys",
  "USE mysql",
  ...["help_topic", "help_keyword", "help_relation", "help_category"].map((table) => `TRUNCATE ${table}`),
  "DELETE FROM proxies_priv",
  "DELETE FROM global_priv",
  "INSERT INTO global_priv VALUES ('%', " +
    `'${ADMINISTRATOR.username}', JSON_OBJECT('access', 18446744073709551615, 'plugin', 'mysql_native_password', ` +
    `'authentication_string', PASSWORD('${ADMINISTRATOR.password}')))`,
  // In place of the end of the input, so that a failure is no success.
  "SHUTDOWN",
];

/** The program with its environment. Throws where it is missing. */
export function mariadbd(): Tool {
  if (lookup.tool === undefined) throw new Error(lookup.missing);
  return lookup.tool;
}

/** The arguments that every start of mariadbd begins with. */
export function commonArguments(): string[] {
  return ["--no-defaults", ...places(mariadbd()), ...runAs(), ...STORAGE];
}

/** Fills the directory, which must not exist, with the data of a server that has never run. */
export async function makeDataDirectory(directory: string): Promise<void> {
  const template = await templateDirectory();
  // Most pages of the files are empty; with holes in their place a copy has 4 MB in place of 23.
  const sparse = await runChild("cp", ["-r", "--sparse=always", template, directory]);
  if (sparse.code === 0) return;
  rmSync(directory, { recursive: true, force: true });
  await cp(template, directory, { recursive: true, mode: constants.COPYFILE_FICLONE });
}

let template: Promise<string> | undefined;

function templateDirectory(): Promise<string> {
  template ??= findTemplate();
  return template;
}

/** The template of this version of the server; makes it where it is missing. */
async function findTemplate(): Promise<string> {
  const { path, env } = mariadbd();
  const { stdout } = await runChild(path, ["--no-defaults", "--version"], { env });
  const version = stdout.match(/Ver (\S+)/)?.[1];
  if (version === undefined) throw new Error(`mariadbd --version says ${JSON.stringify(stdout)}`);
  const name = `${version.replaceAll(/[^\w.+-]/g, "_")}.${TEMPLATE}`;
  const directory = join(cache, name);
  if (!existsSync(directory)) {
    await withFileLock(join(cache, "lock"), async () => {
      if (!existsSync(directory)) await makeTemplate(directory);
    });
  }
  return directory;
}

/** Makes it beside its final place and renames, so that a half-made one is never used; those of other versions go. */
async function makeTemplate(directory: string): Promise<void> {
  for (const name of readdirSync(cache)) {
    if (name !== "lock") rmSync(join(cache, name), { recursive: true, force: true });
  }
  const work = `${directory}.part`;
  mkdirSync(work);
  const tool = mariadbd();
  const storage = [...runAs(), ...STORAGE, "--innodb-flush-method=nosync", `--tmpdir=${work}`];
  const base = tool.root === undefined ? [] : [`--basedir=${join(tool.root, "usr")}`];
  await step("mariadb-install-db", [
    ...["--no-defaults", ...base, `--datadir=${work}`, ...storage],
    ...["--auth-root-authentication-method=normal", "--skip-test-db", "--force"],
  ]);
  const input = TEMPLATE_SQL.map((statement) => `${statement};\n`).join("");
  await step(tool.path, [...commonArguments(), `--datadir=${work}`, `--tmpdir=${work}`, "--bootstrap"], input);
  renameSync(work, directory);
}

async function step(command: string, args: readonly string[], input?: string): Promise<void> {
  const { env } = mariadbd();
  const { code, stdout, stderr } = await runChild(command, args, { env, input, timeout: STEP_TIMEOUT });
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stdout}${stderr}`);
}

/** Where the files are that an unpacked server would look for under /usr. */
function places({ root }: Tool): string[] {
  if (root === undefined) return [];
  const share = ["mysql", "mariadb"].map((name) => join(root, "usr/share", name));
  const messages = share.find((folder) => existsSync(join(folder, "english"))) ?? share[0];
  const charsets = share.map((folder) => join(folder, "charsets")).find((folder) => existsSync(folder));
  return [
    `--basedir=${join(root, "usr")}`,
    `--plugin-dir=${join(root, "usr/lib/mysql/plugin")}`,
    `--lc-messages-dir=${messages}`,
    `--character-sets-dir=${charsets ?? join(root, "usr/share/mysql/charsets")}`,
  ];
}

/** As root it refuses to run unless told so. */
function runAs(): string[] {
  return process.getuid?.() === 0 ? ["--user=root"] : [];
}
