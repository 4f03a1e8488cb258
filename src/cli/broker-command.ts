// `omp broker`: starts the engine, says where things are, and stops on a signal.

import { ListenError } from "../broker/errors.ts";
import type { Logger } from "../mqtt/logger.ts";
import { BROKER_OPTIONS, brokerSettings } from "./broker-settings.ts";
import { StartError } from "./cli-error.ts";
import { makeDataDirectory } from "./data-directory.ts";
import { Engine, type EngineParts, sqlitePath } from "./engine.ts";
import { greeting } from "./greeting.ts";
import { openLog } from "./log.ts";
import { brokerOptions } from "./omp-config.ts";
import { describeOptions, parseOptions } from "./options.ts";
import { untilStopped } from "./signals.ts";
import { version } from "./version.ts";

const HELP = `omp broker: start the MQTT broker with the offline message plugin

Usage: omp broker [OPTION ...]

${describeOptions(BROKER_OPTIONS)}
Options count before the file, the file before the defaults. docs/configuration.md explains every key of both files.

Exit codes: 0 stopped by a signal, 1 could not start, 2 wrong option or configuration.
`;

/** Settles when the broker has stopped. Rejects with `CliError` when it cannot start. */
export async function brokerCommand(args: readonly string[]): Promise<void> {
  const given = parseOptions("omp broker", BROKER_OPTIONS, args);
  if (given.help) {
    process.stdout.write(HELP);
    return;
  }
  const { paths, config, plugin } = brokerSettings(given);
  makeDataDirectory(paths);
  const logger = openLog(config.log);
  const seedWarning = plugin?.chosen.seed();
  for (const warning of [plugin?.chosen.warning, seedWarning]) {
    if (warning !== undefined) logger.warn({}, warning);
  }
  const parts: EngineParts = {
    brokerOptions: brokerOptions(config),
    plugin: plugin && { config: plugin.config, configPath: paths.pluginConfig },
    logger,
  };
  await run(parts, paths.directory, logger);
}

async function run(parts: EngineParts, dataDirectory: string, logger: Logger): Promise<void> {
  const engine = new Engine(parts);
  const stopped = untilStopped(logger);
  const { mqtt } = await engine.start().catch((error: unknown) => {
    throw error instanceof ListenError ? new StartError(error.message, { cause: error }) : error;
  });
  const plugin = parts.plugin && {
    ...parts.plugin,
    storePath: sqlitePath(parts.plugin.config, parts.plugin.configPath),
  };
  process.stdout.write(greeting({ version: version(), mqtt, dataDirectory, plugin }));
  const signal = await stopped;
  logger.info({ signal }, "stopping");
  await engine.stop();
  logger.info({}, "stopped");
}
