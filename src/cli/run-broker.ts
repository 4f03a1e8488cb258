// Runs the broker of `omp broker`: starts it, says where things are, and stops on a signal.

import { BrokerDatabaseError, ListenError } from "../broker/errors.ts";
import { checkConfig } from "../engine/engine.ts";
import { nameOf } from "../management/plugins/plugin-source.ts";
import { version } from "../mqtt/version.ts";
import { CertificateError } from "../tls/certificates.ts";
import type { BrokerSettings } from "./broker-settings.ts";
import { builtInPlugin } from "./built-in-plugin.ts";
import { certificateProblem } from "./certificate-problem.ts";
import { StartError } from "./cli-error.ts";
import { problemsError } from "./config-file.ts";
import { managementOptions } from "./dashboard-config.ts";
import { dashboardFolder } from "./dashboard-folder.ts";
import { checkRestored, makeDataDirectory, putDatabaseAside } from "./data-directory.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { EmbeddedBroker, type EmbeddedBrokerParts } from "./embedded-broker.ts";
import { greeting } from "./greeting.ts";
import { listenProblem } from "./listen-problem.ts";
import { type Log, openLog } from "./log.ts";
import { brokerOptions } from "./omp-config.ts";
import { type FirstUser, openAccounts } from "./open-accounts.ts";
import { ProcessEnd } from "./process-end.ts";
import { onHangUp, untilStopped } from "./signals.ts";

/** Ends the process when the broker has stopped. Rejects with `CliError` when it cannot start. */
export async function runBroker(settings: BrokerSettings): Promise<void> {
  const { paths, config, plugin } = settings;
  await checkPlugin(settings);
  makeDataDirectory(paths);
  const lockWarning = lockDataDirectory(paths.directory);
  checkRestored(paths);
  const asideWarning = config.durable_sessions.enable ? undefined : putDatabaseAside(paths);
  const log = openLog(config.log);
  for (const warning of [plugin?.warning, lockWarning, asideWarning]) {
    if (warning !== undefined) log.logger.warn({}, warning);
  }
  const management = managementOptions(config.dashboard, config.prometheus);
  const accounts = management && openAccounts(settings, log);
  const parts: EmbeddedBrokerParts = {
    brokerOptions: brokerOptions(config),
    databasePath: config.durable_sessions.enable ? paths.brokerDatabase : undefined,
    management: management && accounts && { options: management, accounts: accounts.accounts },
    pluginFolder: paths.plugins,
    builtIn: plugin && { ...builtInPlugin(plugin.file.text), isChecked: true },
    controlSocket: paths.controlSocket,
    dashboardFolder: dashboardFolder(),
    logger: log.logger,
  };
  await run(parts, { directory: paths.directory, firstUser: accounts?.firstUser }, log);
}

/** Sees that the configuration of the plugin that the broker brings can be used. Rejects with `ConfigFileError`. */
async function checkPlugin({ paths, plugin }: BrokerSettings): Promise<void> {
  if (plugin === undefined) return;
  const { file } = plugin;
  const problems = await checkConfig(file.document.value, paths.pluginConfig);
  if (problems.length > 0) throw problemsError(file, problems);
}

function databaseProblem(error: BrokerDatabaseError): StartError {
  const message = `${error.message} With durable_sessions.enable = false the broker does without, and forgets its sessions at the end.`;
  return new StartError(message, { cause: error });
}

interface DataFacts {
  readonly directory: string;
  readonly firstUser: FirstUser | undefined;
}

async function run(parts: EmbeddedBrokerParts, { directory, firstUser }: DataFacts, log: Log): Promise<void> {
  const { logger } = log;
  const processEnd = new ProcessEnd(log);
  const embedded = new EmbeddedBroker(parts);
  const signalled = untilStopped(logger, processEnd);
  onHangUp(() => void embedded.reloadCertificates());
  const addresses = await embedded.start().catch((error: unknown) => {
    if (error instanceof ListenError) throw listenProblem(error);
    if (error instanceof BrokerDatabaseError) throw databaseProblem(error);
    throw error instanceof CertificateError ? certificateProblem(error) : error;
  });
  const { running } = embedded.plugins;
  const stopped = embedded.plugins.list().map(({ source }) => nameOf(source));
  const plugin = running ?? { stopped };
  const { ws, wss } = parts.brokerOptions;
  const webSocketPaths = { ws: ws?.websocket.mqttPath, wss: wss?.websocket.mqttPath };
  process.stdout.write(
    greeting({ version: version(), addresses, webSocketPaths, dataDirectory: directory, plugin, firstUser }),
  );
  const signal = await signalled;
  logger.info({ signal }, "stopping");
  await embedded.stop();
  logger.info({}, "stopped");
  await processEnd.exit(0);
}
