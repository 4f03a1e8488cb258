// `omp emqx-plugin`: the engine for EMQX's plugin, in a process of its own.

import type { SecureContextOptions } from "node:tls";
import { reloadCertificates } from "../broker/certificates.ts";
import { EmqxEngine } from "../emqx/emqx-engine.ts";
import { LinkOptionError } from "../emqx/link-error.ts";
import * as engineModule from "../engine/engine.ts";
import { addressText } from "../mqtt/address-text.ts";
import type { ListenAddress } from "../mqtt/listen.ts";
import { version } from "../mqtt/version.ts";
import { CertificateError, type CertificateFiles, readCertificates } from "../tls/certificates.ts";
import { StartError, UsageError } from "./cli-error.ts";
import { type BindAddress, isLoopback, parseBind } from "./config-fields.ts";
import { dataPaths, makeDataDirectory } from "./data-directory.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { openLog } from "./log.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./omp-config.ts";
import { describeOptions, givenChoice, parseOptions } from "./options.ts";
import { ProcessEnd } from "./process-end.ts";
import { readSecret } from "./secret-file.ts";
import { onHangUp, untilStopped } from "./signals.ts";

const NAME = "omp emqx-plugin";
const DEFAULT_LISTEN = "127.0.0.1:9100";

const OPTIONS = {
  listen: {
    value: "ADDRESS:PORT",
    help: `where EMQX connects to (default ${DEFAULT_LISTEN}; port 0: any that is free)`,
  },
  "secret-file": { value: "FILE", help: "a file whose only line, 16 to 1024 bytes, is engine.secret in EMQX" },
  "data-dir": { value: "DIR", help: "for the SQLite file and relative paths (default ./engine)" },
  "tls-cert": { value: "FILE", help: "certificate in PEM: listen with TLS" },
  "tls-key": { value: "FILE", help: "its key in PEM" },
  "tls-ca": { value: "FILE", help: "authorities in PEM: nodes need a certificate of one of them" },
  "log-level": { value: "LEVEL", help: `${LOG_LEVELS.join(", ")} (default info)` },
  "log-format": { value: "FORMAT", help: "text or json (default text)" },
  help: { short: "h", help: "show this help" },
} as const;

const HELP = `${NAME}: the engine for the plugin inside EMQX (engine.mode = "connect")

Usage: ${NAME} --secret-file FILE [OPTION ...]

${describeOptions(OPTIONS)}`;

/** Runs until it is stopped by a signal. Rejects with `CliError`. */
export async function emqxPluginCommand(args: readonly string[]): Promise<void> {
  const given = parseOptions(NAME, OPTIONS, args);
  if (given.help) {
    process.stdout.write(HELP);
    return;
  }
  const { host, port } = addressOf(given.listen ?? DEFAULT_LISTEN);
  const secretFile = given["secret-file"];
  if (secretFile === undefined) throw new UsageError(`--secret-file is missing: ${NAME} --secret-file FILE`);
  const secret = readSecret(secretFile);
  const level = givenChoice("log-level", given["log-level"], LOG_LEVELS) ?? "info";
  const format = givenChoice("log-format", given["log-format"], LOG_FORMATS) ?? "text";
  const files = certificateFilesOf(given["tls-cert"], given["tls-key"], given["tls-ca"]);
  const tls = files && (await certificatesOf(files));
  const paths = dataPaths(given["data-dir"] ?? "engine");
  makeDataDirectory(paths);
  const warning = lockDataDirectory(paths.directory);
  const log = openLog({ level, format });
  const processEnd = new ProcessEnd(log);
  const { logger } = log;
  const stopped = untilStopped(logger, processEnd);
  if (warning !== undefined) logger.warn({}, warning);
  try {
    const engine = new EmqxEngine({
      module: engineModule,
      engineVersion: version(),
      host,
      port,
      secret,
      tls,
      dataDirectory: paths.directory,
      logger,
    });
    let reading = Promise.resolve();
    onHangUp(() => {
      if (files === undefined) logger.info({}, "there are no certificates to read again");
      else reading = reading.then(() => reloadCertificates("emqx", engine.server, files, logger));
    });
    const address = await engine.listen();
    if (tls === undefined && !isLoopback(address)) logger.warn({}, withoutTls(address));
    process.stdout.write(greeting(address, tls !== undefined, paths.directory));
    const signal = await stopped;
    logger.info({}, `${signal}: stopping`);
    await engine.stop("The engine is stopped.");
  } catch (error) {
    if (error instanceof LinkOptionError) throw new StartError(error.message, { cause: error });
    throw error;
  }
  await processEnd.exit(0);
}

function greeting(address: ListenAddress, isTls: boolean, directory: string): string {
  return `omp ${version()}: engine for EMQX\n  listens  ${addressText(address)}${isTls ? " (TLS)" : ""}\n  data     ${directory}\n`;
}

function withoutTls({ host }: ListenAddress): string {
  return (
    `the link listens on ${host} without TLS, so that messages and the database's password cross the network in clear: ` +
    "--tls-cert and --tls-key do not have this trouble"
  );
}

function addressOf(text: string): BindAddress {
  const address = parseBind(text);
  if (address !== undefined) return address;
  throw new UsageError(`--listen must be an address and a port such as ${DEFAULT_LISTEN}, not ${text}`);
}

/** Undefined: without TLS. */
function certificateFilesOf(certfile = "", keyfile = "", cacertfile = ""): CertificateFiles | undefined {
  if (certfile === "" && keyfile === "" && cacertfile === "") return undefined;
  if (certfile === "") throw new UsageError("--tls-cert is missing: TLS needs a certificate");
  if (keyfile === "") throw new UsageError(`--tls-key is missing: name the key of ${certfile}`);
  return { certfile, keyfile, cacertfile, password: "" };
}

async function certificatesOf(files: CertificateFiles): Promise<SecureContextOptions> {
  try {
    return await readCertificates(files);
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const option = { certfile: "--tls-cert", keyfile: "--tls-key", cacertfile: "--tls-ca" }[error.option];
    throw new StartError(`${option}: ${error.message}`, { cause: error });
  }
}
