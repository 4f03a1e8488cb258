// What the package offers to programs: the broker with its plugin, and the interfaces that hold the parts together.

export { type BrokerOptions, defaultOptions } from "./broker/options.ts";
export { builtInPlugin } from "./cli/built-in-plugin.ts";
export { EmbeddedBroker, type EmbeddedBrokerAddresses, type EmbeddedBrokerParts } from "./cli/embedded-broker.ts";
export { Accounts, type AccountsParts } from "./management/accounts/accounts.ts";
export type { AccountsOptions } from "./management/accounts/options.ts";
export { defaultManagementOptions, type ManagementOptions } from "./management/options.ts";
export type { Logger } from "./mqtt/logger.ts";
export type { Message, MessageProperties } from "./mqtt/message.ts";
export { version } from "./mqtt/version.ts";
export type { Engine, EngineModule, EngineParts } from "./plugin/engine-module.ts";
export type { Hooks } from "./plugin/hooks.ts";
export type { Host } from "./plugin/host.ts";
export type { Store } from "./store/store.ts";
