// What `omp broker` is to do, from its options and the two configuration files: options before file before default.

import { BlockList, isIP, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { dirname, resolve } from "node:path";
import { limits } from "../broker/options.ts";
import { type BootstrapKey, parseBootstrapKeys } from "../management/accounts/bootstrap-keys.ts";
import { defaultManagementOptions } from "../management/options.ts";
import { type CliError, ConfigFileError, StartError, UsageError } from "./cli-error.ts";
import { type BindAddress, isLoopback, type SslOptions } from "./config-fields.ts";
import { type ConfigFile, problemsError, readConfigFile, readOptionalConfigFile, readText } from "./config-file.ts";
import type { DashboardConfig } from "./dashboard-config.ts";
import {
  type ChosenPluginConfig,
  checkDataDirectory,
  choosePluginConfig,
  type DataPaths,
  DEFAULT_DATA_DIRECTORY,
  dataPaths,
} from "./data-directory.ts";
import {
  defaultOmpConfig,
  LISTENER_TYPES,
  type ListenersConfig,
  type ListenerType,
  LOG_FORMATS,
  LOG_LEVELS,
  type OmpConfig,
  parseOmpConfig,
} from "./omp-config.ts";
import { type GivenOptions, givenChoice } from "./options.ts";

export const BROKER_OPTIONS = {
  "data-dir": { value: "DIR", help: `where everything is kept (default ./${DEFAULT_DATA_DIRECTORY})` },
  config: { value: "FILE", help: "the broker's configuration (default DIR/omp.hocon, if it is there)" },
  "plugin-config": {
    value: "FILE",
    help: "the plugin's configuration to begin with; once it is in DIR, that one counts",
  },
  host: { value: "ADDR", help: "address to listen on (default 127.0.0.1)" },
  port: { value: "N", help: "TCP port for MQTT, 0 for any free one (default 1883)" },
  "ws-port": { value: "N", help: "TCP port for MQTT over WebSocket, 0 for any free one (default 8083)" },
  "dashboard-port": { value: "N", help: "TCP port for the HTTP API, 0 for any free one (default 18083)" },
  "allow-anonymous": { help: "listen on addresses that others can reach, without asking clients for a password" },
  "without-plugins": { help: "bring no plugin: nothing is stored until one is installed" },
  "api-keys": { value: "FILE", help: "who may use the HTTP API: key:secret or key:secret:role on each line" },
  "log-level": { value: "LEVEL", help: `${LOG_LEVELS.join(", ")} (default info)` },
  "log-format": { value: "FORMAT", help: `${LOG_FORMATS.join(" or ")} (default text)` },
  help: { short: "h", help: "show this help" },
  version: { short: "v", help: "show the version" },
} as const;

type BrokerArguments = GivenOptions<typeof BROKER_OPTIONS>;

export interface BrokerSettings {
  readonly paths: DataPaths;
  readonly config: OmpConfig;
  /** Where `config` comes from; absent: the defaults. */
  readonly ompFile?: ConfigFile;
  /** Absent: run without plugins. */
  readonly plugin?: ChosenPluginConfig;
  readonly apiKeys: readonly BootstrapKey[];
}

/** Reads the files. Throws `UsageError`, `ConfigFileError` and `StartError`. */
export function brokerSettings(given: BrokerArguments): BrokerSettings {
  if (given["without-plugins"] && given["plugin-config"] !== undefined) {
    throw new UsageError("--plugin-config and --without-plugins exclude each other: leave one out");
  }
  const paths = dataPaths(given["data-dir"] ?? DEFAULT_DATA_DIRECTORY);
  checkDataDirectory(paths);
  const ompFile = given.config === undefined ? readOptionalConfigFile(paths.ompConfig) : readConfigFile(given.config);
  const config = ompConfig(ompFile, given);
  const apiKeys = readApiKeys(given["api-keys"] ?? seenFrom(ompFile, config.api_key.bootstrap_file));
  if (given["without-plugins"]) return { paths, config, ompFile, apiKeys };
  const chosen = choosePluginConfig(paths, given["plugin-config"]);
  return { paths, config, ompFile, apiKeys, plugin: chosen };
}

/** None of an empty path. */
function readApiKeys(path: string): readonly BootstrapKey[] {
  if (path === "") return [];
  const result = parseBootstrapKeys(readText(path));
  if ("keys" in result) return result.keys;
  throw new ConfigFileError(result.problems.map(({ line, message }) => `${path}:${line}: ${message}`));
}

function ompConfig(file: ConfigFile | undefined, given: BrokerArguments): OmpConfig {
  const fromFile = file === undefined ? defaultOmpConfig : parseOmpFile(file);
  const listeners = givenListeners(given, fromFile.listeners, file);
  const enabled = LISTENER_TYPES.filter((type) => listeners[type].default.enable);
  if (enabled.length === 0) throw noListenerError(file);
  for (const type of enabled) {
    const { bind } = listeners[type].default;
    if (given["allow-anonymous"] || fromFile.allow_anonymous || isLoopback(bind)) continue;
    throw notLoopbackError(type, bind, given.host === undefined ? file : undefined);
  }
  return {
    ...fromFile,
    listeners,
    dashboard: givenDashboard(given, fromFile.dashboard, file),
    log: {
      level: givenChoice("log-level", given["log-level"], LOG_LEVELS) ?? fromFile.log.level,
      format: givenChoice("log-format", given["log-format"], LOG_FORMATS) ?? fromFile.log.format,
    },
  };
}

/** The file's listeners with what the options say: `--host` of all, the ports, and that one with a port is wanted. */
function givenListeners(
  given: BrokerArguments,
  { tcp, ssl, ws, wss }: ListenersConfig,
  file: ConfigFile | undefined,
): ListenersConfig {
  const host = givenHost(given);
  const bind = (from: BindAddress, port = from.port): BindAddress => ({ host: host ?? from.host, port });
  const port = givenPort("port", given.port);
  const wsPort = givenPort("ws-port", given["ws-port"]);
  const enable = (fromFile: boolean, port: number | undefined): boolean => fromFile || port !== undefined;
  const files = (options: SslOptions): SslOptions => filesSeenFrom(file, options);
  return {
    tcp: {
      default: { ...tcp.default, enable: enable(tcp.default.enable, port), bind: bind(tcp.default.bind, port) },
    },
    ssl: {
      default: { ...ssl.default, bind: bind(ssl.default.bind), ssl_options: files(ssl.default.ssl_options) },
    },
    ws: {
      default: { ...ws.default, enable: enable(ws.default.enable, wsPort), bind: bind(ws.default.bind, wsPort) },
    },
    wss: {
      default: { ...wss.default, bind: bind(wss.default.bind), ssl_options: files(wss.default.ssl_options) },
    },
  };
}

/** The file's HTTP API with what the options say. */
function givenDashboard(
  given: BrokerArguments,
  dashboard: DashboardConfig,
  file: ConfigFile | undefined,
): DashboardConfig {
  const { http, https } = dashboard.listeners;
  const port = givenPort("dashboard-port", given["dashboard-port"]);
  const { host } = http.bind === 0 ? defaultManagementOptions.http : http.bind;
  const bind = port === undefined ? http.bind : { host, port };
  const ssl_options = filesSeenFrom(file, https.ssl_options);
  return { ...dashboard, listeners: { http: { ...http, bind }, https: { ...https, ssl_options } } };
}

function filesSeenFrom(file: ConfigFile | undefined, options: SslOptions): SslOptions {
  return {
    ...options,
    certfile: seenFrom(file, options.certfile),
    keyfile: seenFrom(file, options.keyfile),
    cacertfile: seenFrom(file, options.cacertfile),
  };
}

/** A relative path is seen from the folder of the file that names it. */
function seenFrom(file: ConfigFile | undefined, path: string): string {
  return path === "" || file === undefined ? path : resolve(dirname(file.path), path);
}

function noListenerError(file: ConfigFile | undefined): CliError {
  const message = "no listener is enabled: set enable = true in one of listeners.tcp, ssl, ws and wss";
  return file === undefined ? new UsageError(message) : problemsError(file, [{ path: ["listeners"], message }]);
}

function parseOmpFile(file: ConfigFile): OmpConfig {
  const result = parseOmpConfig(file.document.value);
  if ("problems" in result) throw problemsError(file, result.problems);
  return result.config;
}

function givenHost({ host }: BrokerArguments): string | undefined {
  return host?.replace(/^\[(.*)\]$/, "$1");
}

function givenPort(name: string, port: string | undefined): number | undefined {
  if (port === undefined) return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) > limits.port.max) {
    throw new UsageError(`--${name} must be a whole number from 0 to ${limits.port.max}, not ${JSON.stringify(port)}`);
  }
  return Number(port);
}

function notLoopbackError(type: ListenerType, { host }: BindAddress, file: ConfigFile | undefined): CliError {
  const isForeign = isIP(host) !== 0 && !isOfThisMachine(host);
  const message = isForeign
    ? `${host} is no address of this machine: listen on 127.0.0.1, or on one that "ip address" shows`
    : `${host} can be reached by others, who could connect without a password: ` +
      "listen on 127.0.0.1, or allow it with allow_anonymous = true in omp.hocon or --allow-anonymous";
  if (file !== undefined) {
    const path = ["listeners", type, "default", "bind"];
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
