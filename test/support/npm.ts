// npm and npx as on a machine that has nothing but Node: a PATH with Node's own commands and a shell.

import { existsSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { type ChildResult, runChild } from "./child.ts";
import { type Scope, temporaryDirectory } from "./temporary-directory.ts";

/** What tells npm how to reach its registry, and where its cache is. */
const PASSED_ON =
  /^(?:npm_config_(?:registry|cafile|proxy|https_proxy|noproxy)|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i;
/** What npm says when it cannot fetch a package. */
const UNREACHABLE =
  /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EIDLETIMEOUT|ENOTCACHED|ERR_SOCKET_TIMEOUT)\b/;

/** A registry that does not answer is given up soon. */
const FETCHES = [
  "--fetch-retries=1",
  "--fetch-retry-mintimeout=1000",
  "--fetch-retry-maxtimeout=2000",
  "--fetch-timeout=30000",
];

/** The environment of a machine with nothing but Node. npm's cache is read, and what it notes besides goes with the test. */
export async function onlyNode(scope: Scope): Promise<NodeJS.ProcessEnv> {
  const home = temporaryDirectory(scope);
  const bin = join(home, "bin");
  const cache = join(home, ".npm");
  mkdirSync(bin);
  mkdirSync(cache);
  const commands = dirname(realpathSync(onPath("npm")));
  symlinkSync(process.execPath, join(bin, "node"));
  for (const name of ["npm", "npx"]) symlinkSync(join(commands, `${name}-cli.js`), join(bin, name));
  symlinkSync("/bin/sh", join(bin, "sh"));
  const { stdout } = await runChild("npm", ["config", "get", "cache"], { env: process.env });
  const downloaded = join(stdout.trim(), "_cacache");
  if (existsSync(downloaded)) symlinkSync(downloaded, join(cache, "_cacache"));
  const passedOn = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name));
  return { ...Object.fromEntries(passedOn), HOME: home, PATH: bin, npm_config_cache: cache };
}

/** Runs npm to its end. Rejects where it fails, and says so where that is because it reaches no registry. */
export async function npm(
  args: readonly string[],
  { cwd, env, timeout }: { cwd: string; env: NodeJS.ProcessEnv; timeout: number },
): Promise<ChildResult> {
  const result = await runChild("npm", [...args, ...FETCHES], { cwd, env, timeout });
  if (result.code === 0) return result;
  const why = UNREACHABLE.test(result.stderr) ? "cannot reach its registry, which this test needs" : "failed";
  throw new Error(`npm ${args[0]} ${why}:\n${result.stderr}`);
}

function onPath(command: string): string {
  const folder = (process.env.PATH ?? "").split(delimiter).find((path) => existsSync(join(path, command)));
  if (folder === undefined) throw new Error(`${command} is missing: install Debian's npm, or Node with its npm`);
  return join(folder, command);
}
