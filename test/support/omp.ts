// The `omp` command as a child process, as users run it.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, type ChildOptions, type ChildResult, runChild, startChild } from "./child.ts";
import type { Address } from "./mosquitto.ts";
import { type Scope, temporaryDirectory } from "./temporary-directory.ts";

const command = resolve(fileURLToPath(import.meta.url), "../../../src/cli/omp.ts");

/** As in the first line of omp.ts. */
const NODE_OPTIONS = ["--max-semi-space-size=4", "--heap-growing-percent=100"];

/** More than a busy machine needs to start a broker, in ms. */
const START_TIMEOUT = 60_000;

/** Where the data directory holds the plugin's store. */
export const STORE_FILE = "plugins/emqx_offline_message_plugin/messages.db";
/** Where the data directory holds the plugin's configuration. */
export const PLUGIN_CONFIG_FILE = "plugins/emqx_offline_message_plugin/config.hocon";

export interface BrokerOptions extends ChildOptions {
  /** Absent: a temporary one of its own. */
  readonly dataDirectory?: string;
  /** Leave the HTTP API to omp.hocon, which should switch it off: others may have its port. */
  readonly withoutDashboard?: boolean;
  /** Further arguments of `omp broker`. */
  readonly args?: readonly string[];
  /** A command that starts the broker, such as `setpriv --reuid=…`; it must keep the process id. */
  readonly prefix?: readonly string[];
}

/** A running `omp broker`. */
export interface RunningBroker {
  readonly child: Child;
  readonly address: Address;
  /** The URLs that the greeting names, by their scheme: mqtt, mqtts, ws, wss. */
  readonly urls: Readonly<Record<string, string>>;
  /** Where its metrics are; absent: it has no HTTP API. */
  readonly metricsUrl: string | undefined;
  readonly dataDirectory: string;
  /** Ends it with SIGTERM (or another signal) and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<ChildResult>;
}

/** Starts `omp broker` on a free loopback port and waits until it listens. Killed after the test if it still runs then. */
export async function startBroker(scope: Scope, options: BrokerOptions = {}): Promise<RunningBroker> {
  const dataDirectory = options.dataDirectory ?? temporaryDirectory(scope);
  const [program = process.execPath, ...args] = [
    ...(options.prefix ?? []),
    ...[
      process.execPath,
      ...NODE_OPTIONS,
      command,
      "broker",
      "--data-dir",
      dataDirectory,
      "--port",
      "0",
      "--ws-port",
      "0",
      ...(options.withoutDashboard ? [] : ["--dashboard-port", "0"]),
    ],
    ...(options.args ?? []),
  ];
  const child = startChild(scope, program, args, {
    env: options.env ?? process.env,
    cwd: options.cwd,
  });
  const [, host = "", port] = await child.output(/mqtt:\/\/(\S+):(\d+)\n[\s\S]*^ {2}data /m, START_TIMEOUT);
  return {
    child,
    urls: Object.fromEntries(
      [...child.stdout.matchAll(/^ {2}\w+ +((mqtts?|wss?):\/\/\S+)$/gm)].map(([, url = "", scheme = ""]) => [
        scheme,
        url,
      ]),
    ),
    metricsUrl: child.stdout.match(/^ {2}metrics +(http:\/\/\S+)$/m)?.[1],
    address: { host: host.replace(/^\[|\]$/g, ""), port: Number(port) },
    dataDirectory,
    stop: (signal) => child.stop(signal),
  };
}

/** Starts `omp broker` with this configuration of the plugin. */
export function startBrokerWith(scope: Scope, pluginConfiguration: string): Promise<RunningBroker> {
  const dataDirectory = temporaryDirectory(scope);
  const file = join(dataDirectory, PLUGIN_CONFIG_FILE);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, pluginConfiguration);
  return startBroker(scope, { dataDirectory });
}

/** Runs `omp` with these arguments to its end. */
export function runOmp(
  args: readonly string[],
  options: ChildOptions & { readonly timeout?: number; readonly prefix?: readonly string[] } = {},
): Promise<ChildResult> {
  const [program = process.execPath, ...rest] = [...(options.prefix ?? []), process.execPath, command, ...args];
  return runChild(program, rest, options);
}

/** The prefix that gives up the superuser's rights; empty for other users. */
export function withoutSuperuser(): readonly string[] {
  return process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] : [];
}

/** The store's file of a data directory. */
export function storeFile(dataDirectory: string): string {
  return join(dataDirectory, STORE_FILE);
}
