#!/usr/bin/env -S node --disable-warning=ExperimentalWarning --max-semi-space-size=4 --heap-growing-percent=100
// The `omp` command: chooses the subcommand, and turns errors into lines and an exit code.
//
// Both options of V8 (the Makefile gives them too) keep a busy broker small. --max-semi-space-size (MiB) bounds what is set
// aside for short-lived objects, by default up to 128 MiB in each thread; --heap-growing-percent lets the heap grow to
// twice what was in use before it is collected, where V8 alone waits for four times as much. docs/benchmarks.md tells what
// that costs. The warning is one that early releases of Node 24 give about node:sqlite.

import { version } from "../mqtt/version.ts";
import { CliError, UsageError } from "./cli-error.ts";

const HELP = `omp: offline messages for MQTT

Usage: omp COMMAND [OPTION ...]

  broker       start the MQTT broker with the offline message plugin
  plugins      install, start, stop and remove plugins of a broker that runs
  admins       add and remove users of the HTTP API, and give them passwords
  keys         create and delete API keys
  backup       write everything that a broker keeps into one file
  restore      make a data directory of such a file
  emqx-plugin  run the engine for the plugin inside EMQX
  mysql        bring the tables of an old MySQL database up

  --help       show this help; omp COMMAND --help shows the options of a command
  --version    show the version
`;

/** Loads what the command needs, and no more: a start takes as long as its modules. */
async function main([command, ...args]: readonly string[]): Promise<void> {
  switch (command) {
    case "broker":
      return (await import("./broker-command.ts")).brokerCommand(args);
    case "plugins":
      return (await import("./plugins-command.ts")).pluginsCommand(args);
    case "admins":
      return (await import("./admins-command.ts")).adminsCommand(args);
    case "keys":
      return (await import("./keys-command.ts")).keysCommand(args);
    case "backup":
      return (await import("./backup-command.ts")).backupCommand(args);
    case "restore":
      return (await import("./restore-command.ts")).restoreCommand(args);
    case "emqx-plugin":
      return (await import("./emqx-plugin-command.ts")).emqxPluginCommand(args);
    case "mysql":
      return (await import("./mysql-command.ts")).mysqlCommand(args);
    case undefined:
    case "help":
    case "-h":
    case "--help":
      process.stdout.write(HELP);
      return;
    case "-v":
    case "--version":
      process.stdout.write(`omp ${version()}\n`);
      return;
    default:
      throw new UsageError(
        `unknown ${command.startsWith("-") ? "option" : "command"} ${command} (omp --help lists all)`,
      );
  }
}

// The broker outlives the terminal that started it.
process.stdout.on("error", () => {});

try {
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  if (!(error instanceof CliError)) throw error;
  for (const line of error.lines) process.stderr.write(`omp: ${line}\n`);
  process.exit(error.exitCode);
}
