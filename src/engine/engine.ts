// The engine module of the offline message plugin: what a host loads, from the sources or bundled in the release package.

import type { Logger } from "../mqtt/logger.ts";
import {
  type Backend,
  type ConfigProblem,
  enabledBackend,
  type PluginConfig,
  parsePluginConfig,
} from "../plugin/config.ts";
import { ENGINE_CONTRACT, type Engine, type EngineModule, type EngineParts } from "../plugin/engine-module.ts";
import { OfflineMessagePlugin } from "../plugin/offline-message-plugin.ts";
import type { PluginOptions } from "../plugin/options.ts";
import { CertificateError, readCertificates } from "../tls/certificates.ts";
import { serverTemplateProblems, templateProblems } from "./mysql-config.ts";
import { createStore, describeStore } from "./store.ts";
import { storeTls } from "./store-tls.ts";

export const contract: EngineModule["contract"] = ENGINE_CONTRACT;

/** Those of EMQX's plugin: who replaces a configuration has them, and what is left out would be reset. */
const NEEDED_SECTIONS = ["mysql", "redis"];

export const checkConfig: EngineModule["checkConfig"] = async (value, configPath, isWhole = false) => {
  const result = parsePluginConfig(value);
  const missing = isWhole ? missingSections(value) : [];
  if ("problems" in result) return [...missing, ...result.problems];
  if (missing.length > 0) return missing;
  const { config } = result;
  const backend = enabledBackend(config);
  const problems = [
    ...(backend === undefined ? [] : await certificateProblems(config, backend, configPath)),
    ...(backend === "mysql" ? templateProblems(config) : []),
  ];
  if (problems.length > 0 || backend !== "mysql") return problems;
  return serverTemplateProblems(config, configPath);
};

export const completeConfig = (value: unknown): PluginConfig => {
  const result = parsePluginConfig(value);
  if ("problems" in result) throw new Error(result.problems.map(({ message }) => message).join("; "));
  return result.config;
};

export const checkBackend: EngineModule["checkBackend"] = async (value, configPath) => {
  const result = parsePluginConfig(value);
  const backend = "config" in result ? enabledBackend(result.config) : undefined;
  if ("problems" in result || backend === undefined) return undefined;
  const store = await createStore({ config: result.config, backend, configPath, logger: SILENT });
  try {
    await store.start({});
    return store.health().error?.message;
  } finally {
    await store.stop();
  }
};

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function missingSections(value: unknown): ConfigProblem[] {
  const given = typeof value === "object" && value !== null ? value : {};
  return NEEDED_SECTIONS.filter((name) => !Object.hasOwn(given, name)).map((name) => ({
    path: [name],
    message: `${name} is missing: a configuration that replaces another one has all of it`,
  }));
}

/** Of the files for TLS to the database server. */
async function certificateProblems(
  config: PluginConfig,
  backend: Backend,
  configPath: string,
): Promise<ConfigProblem[]> {
  const tls = storeTls(config, backend, configPath);
  if (tls === undefined) return [];
  const { certfile = "", keyfile = "", password = "", cacertfile = "" } = tls;
  try {
    await readCertificates({ certfile, keyfile, password, cacertfile });
    return [];
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const path = [backend, "ssl", error.option];
    return [{ path, message: `${path.join(".")}: ${error.message}` }];
  }
}

export const createEngine: EngineModule["createEngine"] = async (parts) => {
  const config = completeConfig(parts.config);
  const backend = enabledBackend(config);
  return backend === undefined ? IDLE : engineOn(backend, config, parts);
};

const IDLE: Engine = {
  storeHealth: () => undefined,
  start: async () => {},
  stop: async () => {},
};

async function engineOn(
  backend: Backend,
  config: PluginConfig,
  { host, configPath, logger }: EngineParts,
): Promise<Engine> {
  const store = await createStore({ config, backend, configPath, logger });
  const plugin = new OfflineMessagePlugin({ host, store, options: pluginOptions(config, backend), logger });
  const { topics, message_ttl } = config[backend];
  return {
    hooks: plugin,
    metrics: plugin,
    backlog: plugin.backlog,
    stores: { topics, messageTtl: message_ttl, where: describeStore(config, backend, configPath) },
    storeHealth: () => store.health(),
    start: () => plugin.start(),
    stop: () => plugin.stop(),
  };
}

function pluginOptions(config: PluginConfig, backend: Backend): PluginOptions {
  return {
    topics: config[backend].topics,
    delivery: config.delivery,
    onStoreError: config.on_store_error,
    onUnstorable: config.on_unstorable,
    qos0Replay: config.qos0_replay,
    subscriptionTtl: config.subscription_ttl,
    messageTtl: config[backend].message_ttl,
  };
}
