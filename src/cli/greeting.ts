// What `omp broker` prints once it runs: where things are, and what to try.

import { METRICS_PATH } from "../management/prometheus.ts";
import { addressText } from "../mqtt/address-text.ts";
import type { ListenAddress } from "../mqtt/listen.ts";
import type { Engine } from "../plugin/engine-module.ts";
import type { EmbeddedBrokerAddresses } from "./embedded-broker.ts";
import type { FirstUser } from "./open-accounts.ts";
import { describeDuration } from "./units.ts";

const DEFAULT_PORT = 1883;

export interface GreetingFacts {
  readonly version: string;
  readonly addresses: EmbeddedBrokerAddresses;
  /** Of MQTT over WebSocket. */
  readonly webSocketPaths: { readonly ws?: string; readonly wss?: string };
  readonly dataDirectory: string;
  /** The user that was made at this start: the only time that its password is shown. */
  readonly firstUser?: FirstUser | undefined;
  /** The plugin that runs, or those that are installed and do not. */
  readonly plugin:
    | { readonly engine: Engine; readonly configPath: string }
    | { readonly engine?: undefined; readonly stopped: readonly string[] };
}

export function greeting(facts: GreetingFacts): string {
  const { version, addresses, webSocketPaths, dataDirectory, plugin, firstUser } = facts;
  const { mqtt, mqtts, ws, wss, http, https } = addresses;
  const lines = [
    `omp ${version} runs as process ${process.pid}; Ctrl+C stops it.`,
    "",
    ...address("mqtt", mqtt),
    ...address("mqtts", mqtts),
    ...address("ws", ws, webSocketPaths.ws),
    ...address("wss", wss, webSocketPaths.wss),
    ...address("http", http, "/"),
    ...address("https", https, "/"),
    ...address(http === undefined ? "https" : "http", http ?? https, METRICS_PATH, "metrics"),
    `  data    ${dataDirectory}`,
    ...describePlugin(plugin),
    ...(firstUser === undefined ? [] : ["", ...describeUser(firstUser)]),
  ];
  if (mqtt !== undefined && storesSomething(plugin.engine)) lines.push("", ...tryThis(mqtt));
  return `${lines.join("\n")}\n`;
}

function address(scheme: string, where: ListenAddress | undefined, path = "", name = scheme): string[] {
  if (where === undefined) return [];
  return [`  ${name.padEnd(8)}${scheme}://${addressText(where)}${path}`];
}

function storesSomething(engine: Engine | undefined): boolean {
  return (engine?.stores?.topics.length ?? 0) > 0;
}

function describePlugin(plugin: GreetingFacts["plugin"]): string[] {
  if (plugin.engine === undefined) {
    const names = plugin.stopped.join(", ");
    return [
      `  stores  nothing: ${names === "" ? "started without plugins" : `${names} does not run (omp plugins list tells why)`}`,
    ];
  }
  const { engine, configPath } = plugin;
  if (engine.stores === undefined) return [`  stores  nothing: no backend is enabled in ${configPath}`];
  const { topics, messageTtl, where } = engine.stores;
  if (topics.length === 0) return [`  stores  nothing: topics is empty in ${configPath}`];
  const kept = messageTtl === 0 ? "until it is fetched" : `for up to ${describeDuration(messageTtl)}`;
  const error = engine.storeHealth()?.error;
  return [
    `  stores  QoS 1 and 2 of ${topics.join(", ")}, each message ${kept}`,
    `  in      ${where}`,
    ...(error === undefined ? [] : [`  away    ${error.message}`]),
    `  config  ${configPath}`,
  ];
}

function describeUser({ username, password }: FirstUser): string[] {
  return [
    `The user ${username} of the HTTP API was made, with the password`,
    `  ${password}`,
    `It is shown this once. (omp admins passwd ${username} makes another one.)`,
  ];
}

function tryThis(mqtt: ListenAddress): string[] {
  // An unspecified address is where it listens, not where a client connects to.
  const host = mqtt.host === "0.0.0.0" || mqtt.host === "::" ? "127.0.0.1" : mqtt.host;
  const where = [
    ...(host === "127.0.0.1" ? [] : [`-h ${host}`]),
    ...(mqtt.port === DEFAULT_PORT ? [] : [`-p ${mqtt.port}`]),
    "-q 1 -t t/2",
  ].join(" ");
  return [
    "Try it from another terminal (Debian: apt install mosquitto-clients):",
    "",
    ...[1, 2, 3].map((count) => `  mosquitto_pub ${where} -m hello-from-offline${count}`),
    "",
    `  mosquitto_sub ${where} -i first     # the three arrive`,
    `  mosquitto_sub ${where} -i second    # nothing more arrives`,
  ];
}
