// What `omp broker` is to do, from its options and the two configuration files: options before file before default.

import { BlockList, isIP, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { limits } from "../broker/options.ts";
import { type PluginConfig, parsePluginConfig } from "../plugin/config.ts";
import { type CliError, StartError, UsageError } from "./cli-error.ts";
import { type ConfigFile, problemsError, readConfigFile, readOptionalConfigFile } from "./config-file.ts";
import {
  type ChosenPluginConfig,
  checkDataDirectory,
  choosePluginConfig,
  type DataPaths,
  dataPaths,
} from "./data-directory.ts";
import {
  type BindAddress,
  defaultOmpConfig,
  LOG_FORMATS,
  LOG_LEVELS,
  type OmpConfig,
  parseOmpConfig,
} from "./omp-config.ts";
import type { GivenOptions } from "./options.ts";

const DEFAULT_DATA_DIRECTORY = "data";

export const BROKER_OPTIONS = {
  "data-dir": { value: "DIR", help: `where everything is kept (default ./${DEFAULT_DATA_DIRECTORY})` },
  config: { value: "FILE", help: "the broker's configuration (default DIR/omp.hocon, if it is there)" },
  "plugin-config": {
    value: "FILE",
    help: "the plugin's configuration to begin with; once it is in DIR, that one counts",
  },
  host: { value: "ADDR", help: "address to listen on (default 127.0.0.1)" },
  port: { value: "N", help: "TCP port for MQTT, 0 for any free one (default 1883)" },
  "allow-anonymous": { help: "listen on addresses that others can reach, without asking clients for a password" },
  "without-plugins": { help: "run the broker alone: nothing is stored" },
  "log-level": { value: "LEVEL", help: `${LOG_LEVELS.join(", ")} (default info)` },
  "log-format": { value: "FORMAT", help: `${LOG_FORMATS.join(" or ")} (default text)` },
  help: { short: "h", help: "show this help" },
  version: { short: "v", help: "show the version" },
} as const;

type BrokerArguments = GivenOptions<typeof BROKER_OPTIONS>;

export interface BrokerSettings {
  readonly paths: DataPaths;
  readonly config: OmpConfig;
  /** Absent: run without plugins. */
  readonly plugin?: { readonly config: PluginConfig; readonly chosen: ChosenPluginConfig };
}

/** Reads the files. Throws `UsageError`, `ConfigFileError` and `StartError`. */
export function brokerSettings(given: BrokerArguments): BrokerSettings {
  if (given["without-plugins"] && given["plugin-config"] !== undefined) {
    throw new UsageError("--plugin-config and --without-plugins exclude each other: leave one out");
  }
  const paths = dataPaths(given["data-dir"] ?? DEFAULT_DATA_DIRECTORY);
  checkDataDirectory(paths);
  const config = ompConfig(paths, given);
  if (given["without-plugins"]) return { paths, config };
  const chosen = choosePluginConfig(paths, given["plugin-config"]);
  return { paths, config, plugin: { config: pluginConfig(chosen.file), chosen } };
}

function pluginConfig(file: ConfigFile): PluginConfig {
  const result = parsePluginConfig(file.document.value);
  if ("problems" in result) throw problemsError(file, result.problems);
  return result.config;
}

function ompConfig(paths: DataPaths, given: BrokerArguments): OmpConfig {
  const file = given.config === undefined ? readOptionalConfigFile(paths.ompConfig) : readConfigFile(given.config);
  const fromFile = file === undefined ? defaultOmpConfig : parseOmpFile(file);
  const listener = fromFile.listeners.tcp.default;
  const bind = { host: givenHost(given) ?? listener.bind.host, port: givenPort(given) ?? listener.bind.port };
  if (!given["allow-anonymous"] && !fromFile.allow_anonymous && !isLoopback(bind)) {
    throw notLoopbackError(bind, given.host === undefined ? file : undefined);
  }
  return {
    ...fromFile,
    listeners: { tcp: { default: { ...listener, bind } } },
    log: {
      level: givenChoice("log-level", given["log-level"], LOG_LEVELS) ?? fromFile.log.level,
      format: givenChoice("log-format", given["log-format"], LOG_FORMATS) ?? fromFile.log.format,
    },
  };
}

function parseOmpFile(file: ConfigFile): OmpConfig {
  const result = parseOmpConfig(file.document.value);
  if ("problems" in result) throw problemsError(file, result.problems);
  return result.config;
}

function givenHost({ host }: BrokerArguments): string | undefined {
  return host?.replace(/^\[(.*)\]$/, "$1");
}

function givenPort({ port }: BrokerArguments): number | undefined {
  if (port === undefined) return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) > limits.port.max) {
    throw new UsageError(`--port must be a whole number from 0 to ${limits.port.max}, not ${JSON.stringify(port)}`);
  }
  return Number(port);
}

function givenChoice<T extends string>(name: string, value: string | undefined, choices: readonly T[]): T | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((known) => known === value);
  if (choice === undefined) {
    throw new UsageError(`--${name} must be ${choices.join(" or ")}, not ${JSON.stringify(value)}`);
  }
  return choice;
}

/** 127.0.0.0/8 (RFC 1122) and ::1. */
function isLoopback({ host }: BindAddress): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function notLoopbackError({ host }: BindAddress, file: ConfigFile | undefined): CliError {
  const isForeign = isIP(host) !== 0 && !isOfThisMachine(host);
  const message = isForeign
    ? `${host} is no address of this machine: listen on 127.0.0.1, or on one that "ip address" shows`
    : `${host} can be reached by others, who could connect without a password: ` +
      "listen on 127.0.0.1, or allow it with allow_anonymous = true in omp.hocon or --allow-anonymous";
  if (file !== undefined) {
    const path = ["listeners", "tcp", "default", "bind"];
    return problemsError(file, [{ path, message: `${path.join(".")}: ${message}` }]);
  }
  return isForeign ? new StartError(`--host ${message}`) : new UsageError(`--host ${message}`);
}

function isOfThisMachine(host: string): boolean {
  const own = new BlockList();
  own.addAddress("0.0.0.0", "ipv4");
  own.addAddress("::", "ipv6");
  for (const interfaces of Object.values(networkInterfaces())) {
    for (const { address, family } of interfaces ?? []) own.addAddress(address, family === "IPv4" ? "ipv4" : "ipv6");
  }
  const [address = host] = host.split("%");
  return own.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}
