// What the engine module of a plugin exports, and what a host gives it: the one way in which plugins are loaded, whether from
// sources or from a release package.

import type { Logger } from "../mqtt/logger.ts";
import type { StoreHealth } from "../store/store.ts";
import type { Backlog } from "./backlog.ts";
import type { ConfigProblem } from "./config-schema.ts";
import type { RemoteHooks } from "./hooks.ts";
import type { Host } from "./host.ts";
import type { OfflineMessagePlugin } from "./offline-message-plugin.ts";

/** Hosts load modules of this contract only. It grows with every change that a host or module of before would not bear. */
export const ENGINE_CONTRACT = 3;

/** The file of a package's main application that a host loads. */
export const ENGINE_FILE = "engine.mjs";

export interface EngineModule {
  /** The contract that the module keeps. */
  readonly contract: number;
  /**
   * Everything that is wrong with a configuration, as it comes out of HOCON or JSON; the database server is asked about SQL
   * templates where it can be. Never rejects. `configPath`: where the configuration lies; its relative paths are seen from there.
   * `isWhole`: it is to replace another one, so that no section may be missing.
   */
  checkConfig(config: unknown, configPath: string, isWhole?: boolean): Promise<readonly ConfigProblem[]>;
  /** With every key. Throws for a configuration in which `checkConfig` finds a problem. */
  completeConfig(config: unknown): Readonly<Record<string, unknown>>;
  /** Tries whether the database can be used: why not; undefined: it can, or there is none. */
  checkBackend(config: unknown, configPath: string): Promise<string | undefined>;
  /** Rejects for a configuration in which `checkConfig` finds a problem. */
  createEngine(parts: EngineParts): Promise<Engine>;
}

export interface EngineParts {
  readonly host: Host;
  readonly config: unknown;
  readonly configPath: string;
  readonly logger: Logger;
}

/** A plugin with its store. */
export interface Engine {
  /** Absent: no backend is enabled, and nothing is stored. */
  readonly hooks?: RemoteHooks;
  readonly metrics?: Pick<OfflineMessagePlugin, "counters" | "memory" | "stored">;
  readonly stores?: WhatIsStored;
  /** What is stored, for whoever looks after it; absent: nothing is stored, or the module cannot show it. */
  readonly backlog?: Backlog;
  /** Whether the store works, as far as it is known; undefined: there is none. */
  storeHealth(): StoreHealth | undefined;
  /** Settles when the hooks may be called. A store that cannot be reached is no error. */
  start(): Promise<void>;
  /** Finishes what was begun. No hook may be called any more. */
  stop(): Promise<void>;
}

/** For people. */
export interface WhatIsStored {
  /** Filters of the topics whose messages are stored; may be empty. */
  readonly topics: readonly string[];
  /** How long a message is kept, in seconds; 0: until it is fetched. */
  readonly messageTtl: number;
  /** Such as `Redis at 127.0.0.1:6379 (single)`. */
  readonly where: string;
}
