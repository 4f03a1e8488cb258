// The plugin with SQLite behind a true link to a scripted node, for tests.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { EmqxHost } from "../../src/emqx/emqx-host.ts";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { type LinkLimits, LinkServer, linkLimits } from "../../src/emqx/link-server.ts";
import { OfflineMessagePlugin } from "../../src/plugin/offline-message-plugin.ts";
import type { PluginOptions } from "../../src/plugin/options.ts";
import { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";
import { turn } from "../plugin/plugin-fixture.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { SECRET } from "./link-peer.ts";
import { type NodeOptions, ScriptedNode } from "./scripted-node.ts";

export interface LinkedOptions extends Partial<PluginOptions> {
  readonly linkLimits?: Partial<LinkLimits>;
  readonly asyncPublishAck?: boolean;
  /** In ms; as shipped by default. */
  readonly checkInterval?: number;
  /** How long sessions may take to say what they have, in ms; as shipped by default. */
  readonly settlingPatience?: number;
  /** In place of a new one on SQLite. */
  readonly otherStore?: Store;
  /** Of the store on SQLite. */
  readonly maxMessages?: number;
  readonly node?: Partial<NodeOptions>;
}

/** What the database file has, in the order of storing. */
class StoredMessages {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  get messages(): { message: { id: string; payload: Uint8Array } }[] {
    const database = new DatabaseSync(this.#file, { readOnly: true });
    try {
      const rows = database.prepare("SELECT msgid, payload FROM mqtt_msg ORDER BY rowid").all();
      return rows.map(({ msgid, payload }) => ({ message: { id: String(msgid), payload: payload as Uint8Array } }));
    } finally {
      database.close();
    }
  }
}

/** A node whose end of the link shows whether anything is under way. */
export interface SettlingNode {
  /** Rises with everything that happens. */
  readonly frames: number;
  /** Settles when the engine has handled all that was sent, and what it answered has come. */
  roundTrip(): Promise<void>;
}

export interface LinkedPlugin {
  readonly node: ScriptedNode;
  /** The node, under the name that cases of every host use. */
  readonly host: ScriptedNode;
  /** What the store on SQLite has. */
  readonly store: StoredMessages;
  readonly plugin: OfflineMessagePlugin;
  readonly emqx: EmqxHost;
  readonly server: LinkServer;
  readonly port: number;
  readonly log: readonly LogEntry[];
  readonly scope: Scope;
  /** How many messages are stored. */
  countStored(): Promise<number>;
  /** Another node of the same cluster. */
  startNode(options?: Partial<NodeOptions>): Promise<ScriptedNode>;
  /** Waits until nothing happens any more on these nodes: no frame, no call of the store. */
  settle(...nodes: readonly SettlingNode[]): Promise<void>;
}

export async function startLinkedPlugin(scope: Scope, given: LinkedOptions = {}): Promise<LinkedPlugin> {
  const {
    linkLimits: limits,
    asyncPublishAck = false,
    checkInterval,
    settlingPatience,
    maxMessages,
    otherStore,
    node: nodeOptions,
    ...options
  } = given;
  const log: LogEntry[] = [];
  const logger = loggerInto(log);
  const ordered = inReverse(scope);
  const file = join(temporaryDirectory(ordered), "messages.db");
  const store = otherStore ?? new SqliteStore({ path: file, logger, maxMessages });
  const topics = options.topics ?? ["#"];
  const emqx = new EmqxHost({
    logger,
    checkInterval,
    settlingPatience,
    longestFrame: limits?.longestFrame ?? linkLimits.longestFrame,
    configure: (link, { request }) => {
      link.send({ opcode: EngineOpcode.Configured, request });
      link.send({
        opcode: EngineOpcode.Settings,
        topics,
        ignoreStoreErrors: options.onStoreError === "ignore",
        asyncPublishAck,
        acknowledgeUnstorable: options.onUnstorable === "acknowledge",
        timeout: 6000,
      });
      link.isSettled();
    },
  });
  const plugin = new OfflineMessagePlugin({
    host: emqx,
    store,
    logger,
    options: {
      topics,
      delivery: "one_to_one",
      onStoreError: "reject",
      onUnstorable: "close",
      qos0Replay: "remove",
      subscriptionTtl: 0,
      sweepInterval: 60_000,
      ...options,
    },
  });
  await plugin.start();
  ordered.after(() => plugin.stop());
  emqx.attachHooks(plugin);
  const server = new LinkServer(
    { host: "127.0.0.1", port: 0, secret: SECRET, engineVersion: "0.1.0", limits, logger },
    emqx,
  );
  const { port } = await server.listen();
  ordered.after(async () => {
    await server.stop("the test is over");
    emqx.stop();
  });
  const startNode = (more: Partial<NodeOptions> = {}): Promise<ScriptedNode> =>
    ScriptedNode.start(ordered, { port, ...nodeOptions, ...more });
  const node = await startNode();
  const settle = async (...others: readonly SettlingNode[]): Promise<void> => {
    const nodes: readonly SettlingNode[] = [node, ...others];
    const frames = (): number => nodes.reduce((sum, { frames }) => sum + frames, 0);
    for (let quiet = 0, before = frames(); quiet < 3; before = frames()) {
      // A call behind all others, and frames behind all others.
      await store.listSubscriptions("nobody");
      await Promise.all(nodes.map((each) => each.roundTrip()));
      await turn();
      quiet = frames() === before ? quiet + 1 : 0;
    }
  };
  return {
    node,
    host: node,
    store: new StoredMessages(file),
    plugin,
    emqx,
    server,
    port,
    log,
    scope: ordered,
    countStored: async () => (await store.totals()).messages,
    startNode,
    settle,
  };
}
