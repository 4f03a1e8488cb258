// The engine module of the offline message plugin: what a host loads, from the sources or bundled in the release package.

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
import { serverTemplateProblems, templateProblems } from "./mysql-config.ts";
import { createStore, describeStore } from "./store.ts";

export const contract: EngineModule["contract"] = ENGINE_CONTRACT;

export const checkConfig: EngineModule["checkConfig"] = async (value, configPath) => {
  const result = parsePluginConfig(value);
  if ("problems" in result) return result.problems;
  const { config } = result;
  if (enabledBackend(config) !== "mysql") return [];
  const problems = templateProblems(config);
  return problems.length > 0 ? problems : serverTemplateProblems(config, configPath);
};

export const createEngine: EngineModule["createEngine"] = (parts) => {
  const result = parsePluginConfig(parts.config);
  if ("problems" in result) throw new Error(describeProblems(result.problems));
  const backend = enabledBackend(result.config);
  return backend === undefined ? IDLE : engineOn(backend, result.config, parts);
};

const IDLE: Engine = {
  storeHealth: () => undefined,
  start: async () => {},
  stop: async () => {},
};

function engineOn(backend: Backend, config: PluginConfig, { host, configPath, logger }: EngineParts): Engine {
  const store = createStore({ config, backend, configPath, logger });
  const plugin = new OfflineMessagePlugin({ host, store, options: pluginOptions(config, backend), logger });
  const { topics, message_ttl } = config[backend];
  return {
    hooks: plugin,
    metrics: plugin,
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
  };
}

function describeProblems(problems: readonly ConfigProblem[]): string {
  return problems.map(({ message }) => message).join("; ");
}
