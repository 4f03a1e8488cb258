// The compiled application and stand-ins for EMQX's modules: compiled once for each state of their sources, into .cache/erlang.

import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tools/release/bundle.ts";
import { compileErlang } from "../../tools/release/erlang.ts";
import { erl, erlangMissing, runErlang } from "../support/erlang.ts";
import { withFileLock } from "../support/file-lock.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";

const CACHE = join(ROOT, ".cache/erlang");
const STAND_INS = join(ROOT, "test/erlang/stand-ins");
const STAND_IN_OPTIONS = ["-Werror", "+nowarn_export_all"];
/** For so long after they were made, in ms, modules of other states of the sources are kept: another run may use them. */
const KEPT = 24 * 60 * 60 * 1000;

/** Where they are, for all tests, which change nothing there; empty where Erlang is missing. */
export const ebin: string = erlangMissing === undefined ? await compiled() : "";

/** Copies them for tests that put files beside their folder. */
export function ownEbin(scope: Scope): string {
  const own = join(temporaryDirectory(scope), "ebin");
  cpSync(ebin, own, { recursive: true });
  return own;
}

async function compiled(): Promise<string> {
  const folder = join(CACHE, stateOfSources());
  if (existsSync(folder)) return folder;
  await withFileLock(join(CACHE, "lock"), async () => {
    if (!existsSync(folder)) await compile(folder);
  });
  return folder;
}

/** A name for all that the compiled modules depend on. */
function stateOfSources(): string {
  const { path } = erl();
  const hash = createHash("sha256").update(`${path} ${statSync(path).mtimeMs} ${STAND_IN_OPTIONS}`);
  const files = [
    "package.json",
    "tools/release/erlang.ts",
    ...globSync(["erlang/src/*", "test/erlang/stand-ins/*"], { cwd: ROOT }).sort(),
  ];
  for (const file of files) hash.update(`\n${file}\n`).update(readFileSync(join(ROOT, file)));
  return hash.digest("hex").slice(0, 16);
}

/** Compiles beside the final place and renames, so that half-made modules are never used. */
async function compile(folder: string): Promise<void> {
  for (const name of readdirSync(CACHE)) {
    const other = join(CACHE, name);
    if (name !== "lock" && statSync(other).mtimeMs < Date.now() - KEPT) rmSync(other, { recursive: true, force: true });
  }
  const work = `${folder}.part`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  await compileErlang(work);
  const standIns = globSync("*.erl", { cwd: STAND_INS }).map((file) => join(STAND_INS, file));
  await runErlang("erlc", [...STAND_IN_OPTIONS, "-o", work, ...standIns]);
  renameSync(work, folder);
}
