// `omp plugins`: installs, starts, stops and removes the plugins of a broker that runs, as `emqx ctl plugins` does.

import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { systemCause } from "../files/system-cause.ts";
import { StartError } from "./cli-error.ts";
import { askBroker } from "./control-client.ts";
import { type ControlCommands, runControlCommand } from "./control-commands.ts";
import type { DataPaths } from "./data-directory.ts";

const ABOUT = `omp plugins: the plugins of the broker that runs on a data directory

Usage: omp plugins COMMAND [NAME-VERSION] [OPTION ...]

  list                       what is installed, and what runs
  allow NAME-VERSION         let a package be installed over the HTTP API, within five minutes
  disallow NAME-VERSION      take that back
  install FILE               install a package, such as NAME-VERSION.tar.gz
  describe NAME-VERSION      everything about a plugin, as JSON
  start NAME-VERSION         start it, now and with the broker
  stop NAME-VERSION          stop it, until it is started again
  uninstall NAME-VERSION     remove it; its configuration and what it stored stay
`;

/** What a package may have in bytes; the broker's own limit is lower. */
const MAX_FILE = 1024 * 1024 * 1024;
const PATH = "/api/v5/plugins";

type Work = (paths: DataPaths, argument: string) => Promise<string>;

const done =
  (word: string, work: (paths: DataPaths, name: string) => Promise<unknown>): Work =>
  async (paths, name) => {
    await work(paths, name);
    return `${name}: ${word}\n`;
  };
const ask = (method: "POST" | "PUT" | "DELETE", action: string) => (paths: DataPaths, name: string) =>
  askBroker(paths, { method, path: `${PATH}/${encodeURIComponent(name)}${action}` });

const commands: ControlCommands<Record<never, never>>["commands"] = {
  list: { run: async (paths) => describe(await askBroker(paths, { method: "GET", path: PATH })) },
  allow: { argument: "NAME-VERSION", run: done("allowed for five minutes", ask("POST", "/allow")) },
  disallow: { argument: "NAME-VERSION", run: done("not allowed", ask("POST", "/disallow")) },
  install: { argument: "FILE", run: done("installed", install) },
  describe: {
    argument: "NAME-VERSION",
    run: async (paths, name) => {
      const plugin = await askBroker(paths, { method: "GET", path: `${PATH}/${encodeURIComponent(name)}` });
      return `${JSON.stringify(plugin, null, 2)}\n`;
    },
  },
  start: { argument: "NAME-VERSION", run: done("started", ask("PUT", "/start")) },
  stop: { argument: "NAME-VERSION", run: done("stopped", ask("PUT", "/stop")) },
  uninstall: { argument: "NAME-VERSION", run: done("uninstalled", ask("DELETE", "")) },
};

/** Rejects with `CliError`. */
export function pluginsCommand(args: readonly string[]): Promise<void> {
  return runControlCommand({ name: "omp plugins", about: ABOUT, options: {}, commands }, args);
}

interface ListedPlugin {
  readonly name: string;
  readonly rel_vsn: string;
  readonly running_status: readonly { readonly status: string }[];
  readonly health_status?: { readonly status: string; readonly message: string };
}

function describe(answer: unknown): string {
  const plugins = answer as readonly ListedPlugin[];
  if (plugins.length === 0) return "no plugin is installed\n";
  return plugins
    .map(({ name, rel_vsn, running_status: [running], health_status: health }) => {
      const trouble = health?.status === "error" ? `: ${health.message}` : "";
      return `${name}-${rel_vsn}  ${running?.status ?? "stopped"}${trouble}\n`;
    })
    .join("");
}

async function install(paths: DataPaths, file: string): Promise<void> {
  const boundary = `omp-${process.pid}-${Date.now()}`;
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="plugin"; filename="${basename(file).replaceAll(/["\r\n]/g, "_")}"\r\nContent-Type: application/x-gzip\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(head), readPackage(file), Buffer.from(`\r\n--${boundary}--\r\n`)]);
  const contentType = `multipart/form-data; boundary=${boundary}`;
  await askBroker(paths, { method: "POST", path: `${PATH}/install`, contentType, body });
}

function readPackage(file: string): Uint8Array {
  try {
    if (statSync(file).size > MAX_FILE) throw new Error("it is too large for a package");
    return readFileSync(file);
  } catch (error) {
    throw new StartError(`${file} cannot be read: ${systemCause(error)}`, { cause: error });
  }
}
