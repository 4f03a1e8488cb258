// Part of `make lint`: Dialyzer on the Erlang application, once for each state of its sources.
//
// What it knows of Erlang's own modules (its PLT) is made once, in .cache/dialyzer; that takes about a minute, a check some seconds.

import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { erl, erlangMissing, runErlang } from "../../test/support/erlang.ts";
import { withFileLock } from "../../test/support/file-lock.ts";
import { ROOT } from "../release/bundle.ts";
import { compileErlang, ERLANG } from "../release/erlang.ts";

const CACHE = join(ROOT, ".cache/dialyzer");
const APPLICATIONS = ["erts", "kernel", "stdlib", "crypto"];
/** In ms. */
const PLT_TIMEOUT = 900_000;
const CHECK_TIMEOUT = 300_000;

if (erlangMissing !== undefined) {
  console.error("the Erlang application is not checked by Dialyzer");
  process.exit(0);
}
const emulator = erl().path;
const sources = globSync("src/*", { cwd: ERLANG }).sort();
const hash = createHash("sha256").update(emulator);
for (const file of sources) hash.update(file).update(readFileSync(join(ERLANG, file)));
const passed = join(CACHE, "passed");
const state = hash.digest("hex");

mkdirSync(CACHE, { recursive: true });
await withFileLock(join(CACHE, "lock"), async () => {
  if (existsSync(passed) && readFileSync(passed, "utf8") === state) return;
  const plt = join(CACHE, `${createHash("sha256").update(emulator).digest("hex").slice(0, 16)}.plt`);
  if (!existsSync(plt)) {
    const started = performance.now();
    await runErlang(
      "dialyzer",
      ["--build_plt", "--output_plt", `${plt}.part`, "--apps", ...APPLICATIONS],
      PLT_TIMEOUT,
    ).catch((error: unknown) => {
      // It warns of functions of modules that are not among them.
      if (!existsSync(`${plt}.part`)) throw error;
    });
    renameSync(`${plt}.part`, plt);
    console.log(`Dialyzer's PLT was made in ${Math.round((performance.now() - started) / 1000)} s`);
  }
  const ebin = join(tmpdir(), `omp-dialyzer-${process.pid}`);
  try {
    await compileErlang(ebin, ["+debug_info", "-Werror"]);
    const said = await runErlang("dialyzer", ["--plt", plt, "-Wextra_return", "-r", ebin], CHECK_TIMEOUT);
    // EMQX's modules are not here; our own are.
    const unknown = said.match(/^ {2}emqx_(?:omp|offline)_\w+:.*$/gm) ?? [];
    if (unknown.length > 0) throw new Error(`calls of functions that are not there:\n${unknown.join("\n")}`);
  } finally {
    rmSync(ebin, { recursive: true, force: true });
  }
  writeFileSync(passed, state);
});
