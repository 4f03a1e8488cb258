// Builds dist/, which `npm pack` packs: src/ compiled to JavaScript with type declarations, and the files that it reads.

import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, globSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(here, "../..");
const OUTPUT = join(ROOT, "dist");

/** What is read at run time beside the modules: files and whole folders, from the checkout to `dist/`. */
const COPIED: readonly (readonly [from: string, to: string])[] = [
  ["src/plugin/priv", "plugin/priv"],
  ["src/plugin/README.md", "plugin/README.md"],
  ["_build/dashboard", "dashboard"],
];

rmSync(OUTPUT, { recursive: true, force: true });
run("make", ["--silent", "dashboard"]);
run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", join(here, "tsconfig.json")]);
for (const [from, to] of COPIED) cpSync(join(ROOT, from), join(OUTPUT, to), { recursive: true });
function run(command: string, args: readonly string[]): void {
  // Standard output is that of `npm pack`, which may be JSON.
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", process.stderr, process.stderr] });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(1);
}

// Whatever the files of the checkout and the umask say.
for (const file of globSync("**/*", { cwd: OUTPUT })) {
  const path = join(OUTPUT, file);
  const isExecutable = statSync(path).isDirectory() || file === join("cli", "omp.js");
  chmodSync(path, isExecutable ? 0o755 : 0o644);
}
