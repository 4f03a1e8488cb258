// Debian's Erlang, for the release package and for tests: the machine's own where it has all that is needed, else unpacked.

import { readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { runChild } from "./child.ts";
import { debianTool, type Tool } from "./debian-tool.ts";

/** What is used besides the base, each a package `erlang-<name>` and an application of this name with `_` for `-`. */
const APPLICATIONS = ["asn1", "crypto", "dialyzer", "public-key", "runtime-tools", "ssl", "syntax-tools"];

const lookup = await debianTool(
  ["erlang-base", ...APPLICATIONS.map((name) => `erlang-${name}`)],
  "erl",
  (path) => missingApplications(path).length === 0,
);

/** Why there is no Erlang; undefined: there is. Give it to a test's `skip`. */
export const erlangMissing: string | undefined = lookup.missing;
if (erlangMissing !== undefined) console.error(`ERLANG IS NOT TESTED: ${erlangMissing}`);

/** `erl`, with the environment that it, `erlc` and `dialyzer` beside it need. Throws where it is missing. */
export function erl(): Tool {
  if (lookup.tool === undefined) throw new Error(lookup.missing);
  const { path, env, root } = lookup.tool;
  if (root === undefined) return { path, env };
  // Debian's script has /usr/lib/erlang written in it. This is what it starts, with the environment that it sets.
  const home = join(root, "usr/lib/erlang");
  const programs = join(home, readdirSync(home).find((name) => name.startsWith("erts-")) ?? "", "bin");
  const emulator = join(programs, "erlexec");
  const places = { ROOTDIR: home, BINDIR: programs, EMU: "beam", PROGNAME: "erl" };
  return { path: emulator, root, env: { ...env, ...places, ERLC_EMULATOR: emulator, DIALYZER_EMULATOR: emulator } };
}

/** Runs `erlc`, `dialyzer` … to its end, within the time in ms. Rejects with what it wrote unless the exit code is 0. */
export async function runErlang(command: string, args: readonly string[], timeout = 120_000): Promise<string> {
  const { path, env } = erl();
  const program = command === "erl" ? path : join(dirname(path), command);
  const { code, stdout, stderr } = await runChild(program, args, { env, timeout });
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

function missingApplications(path: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(join(dirname(realpathSync(path)), "../lib"));
  } catch {
    // No installation as they usually are: nothing is known to be there.
  }
  return APPLICATIONS.filter((name) => !names.some((folder) => folder.startsWith(`${name.replace("-", "_")}-`)));
}
