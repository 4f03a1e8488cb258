// Compiles the application that runs inside EMQX: erlang/src to .beam files and the .app file, the same bytes each time.

import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { PLUGIN_NAME } from "../../src/engine/release-info.ts";
import { version } from "../../src/mqtt/version.ts";
import { runErlang } from "../../test/support/erlang.ts";
import { ROOT } from "./bundle.ts";

/** `r25`: newer compilers leave out what the Erlang of the oldest EMQX cannot load (that of OTP 25 takes no notice of it). */
const OPTIONS = ["+deterministic", "+no_debug_info", "+r25", "-Werror"];

/** Where the sources are, with `sources` below. */
export const ERLANG = join(ROOT, "erlang");

/** Compiles into the folder, which is made. Rejects with what the compiler says, warnings included. */
export async function compileErlang(ebin: string, options: readonly string[] = OPTIONS): Promise<void> {
  const sources = globSync("src/*.erl", { cwd: ERLANG }).sort();
  mkdirSync(ebin, { recursive: true });
  await runErlang("erlc", [...options, "-o", ebin, ...sources.map((file) => join(ERLANG, file))]);
  const modules = sources.map((file) => basename(file, ".erl")).join(", ");
  const description = readFileSync(join(ERLANG, "src", `${PLUGIN_NAME}.app.src`), "utf8")
    .replace("%VERSION%", version())
    .replace("%MODULES%", modules);
  writeFileSync(join(ebin, `${PLUGIN_NAME}.app`), description);
}
