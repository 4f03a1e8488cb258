// The plugin between a host and a store in memory, for its tests.

import type { TestContext } from "node:test";
import { OfflineMessagePlugin } from "../../src/plugin/offline-message-plugin.ts";
import type { PluginOptions } from "../../src/plugin/options.ts";
import { MemoryHost } from "./memory-host.ts";
import { MemoryStore } from "./memory-store.ts";

export interface LogEntry {
  readonly level: string;
  readonly message: string;
}

export interface PluginFixture {
  readonly host: MemoryHost;
  readonly store: MemoryStore;
  readonly plugin: OfflineMessagePlugin;
  readonly log: LogEntry[];
  /** Waits until nothing happens any more: all calls of the store are carried out, all turns taken. */
  settle(): Promise<void>;
}

/** Starts the plugin; it stops when the test ends. */
export async function startPlugin(
  test: TestContext,
  options: Partial<PluginOptions> = {},
  store = new MemoryStore(),
): Promise<PluginFixture> {
  const host = new MemoryHost();
  const log: LogEntry[] = [];
  const logger = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [
      level,
      (_fields: unknown, message: string) => log.push({ level, message }),
    ]),
  ) as never;
  const plugin = new OfflineMessagePlugin({
    host,
    store,
    logger,
    options: {
      topics: ["#"],
      delivery: "one_to_one",
      onStoreError: "reject",
      onUnstorable: "close",
      qos0Replay: "remove",
      subscriptionTtl: 0,
      sweepInterval: 60_000,
      ...options,
    },
  });
  host.hooks = plugin;
  await plugin.start();
  test.after(async () => {
    store.held = false;
    store.stepAll();
    await plugin.stop();
  });
  const settle = async (): Promise<void> => {
    let quiet = 0;
    let calls = store.carriedOut.length;
    while (quiet < 5) {
      await turn();
      quiet = store.carriedOut.length === calls ? quiet + 1 : 0;
      calls = store.carriedOut.length;
    }
  };
  return { host, store, plugin, log, settle };
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
