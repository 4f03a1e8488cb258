// `omp broker`: reads its options and the configuration, and hands over to what runs the broker.

import { version } from "../mqtt/version.ts";
import { BROKER_OPTIONS, brokerSettings } from "./broker-settings.ts";
import { checkCertificates } from "./certificate-problem.ts";
import { describeOptions, parseOptions } from "./options.ts";

const HELP = `omp broker: start the MQTT broker with the offline message plugin

Usage: omp broker [OPTION ...]

${describeOptions(BROKER_OPTIONS)}
Options count before the file, the file before the defaults. docs/configuration.md explains every key of both files.

Exit codes: 0 stopped by a signal, 1 could not start, 2 wrong option or configuration.
`;

/** Ends the process when the broker has stopped; settles when there was nothing to start. Rejects with `CliError` when it cannot start. */
export async function brokerCommand(args: readonly string[]): Promise<void> {
  const given = parseOptions("omp broker", BROKER_OPTIONS, args);
  if (given.help) {
    process.stdout.write(HELP);
    return;
  }
  if (given.version) {
    process.stdout.write(`omp ${version()}\n`);
    return;
  }
  const settings = brokerSettings(given);
  await checkCertificates(settings);
  // Loading it takes longer than to say what is wrong with the options.
  const { runBroker } = await import("./run-broker.ts");
  await runBroker(settings);
}
