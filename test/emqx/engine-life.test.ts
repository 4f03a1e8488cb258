// Configurations from EMQX: checked, put to work live, told to all nodes; the store's health in words.

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { EmqxEngine } from "../../src/emqx/emqx-engine.ts";
import * as module from "../../src/engine/engine.ts";
import type { EngineModule } from "../../src/plugin/engine-module.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";
import { SilentServer } from "../support/silent-server.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { SECRET } from "./link-peer.ts";
import { ScriptedNode } from "./scripted-node.ts";

const off = { enable: false };

interface Started {
  readonly engine: EmqxEngine;
  readonly log: LogEntry[];
  readonly directory: string;
  readonly scope: Scope;
  /** A node that comes with this configuration. */
  node(config: unknown, name?: string): Promise<ScriptedNode>;
}

async function startEngine(t: Scope, parts: Partial<EngineModule> = {}): Promise<Started> {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const log: LogEntry[] = [];
  const engine = new EmqxEngine({
    module: { ...module, ...parts },
    engineVersion: "0.1.0",
    host: "127.0.0.1",
    port: 0,
    secret: SECRET,
    dataDirectory: directory,
    logger: loggerInto(log),
  });
  const { port } = await engine.listen();
  scope.after(() => engine.stop("the test is over"));
  const node = (config: unknown, nodeName = "first"): Promise<ScriptedNode> =>
    ScriptedNode.start(scope, { port, config, nodeName });
  return { engine, log, directory, scope, node };
}

const sqlite = (more: object = {}, rules: object = {}) => ({
  mysql: off,
  redis: off,
  sqlite: { enable: true, topics: ["t/#"], ...more },
  ...rules,
});

const configured = (node: ScriptedNode) => waitFor(() => node.configured, { what: "CONFIGURED", timeout: 20_000 });

test("a node's configuration begins an engine, which tells its settings and health", async (t) => {
  const { engine, directory, node: start } = await startEngine(t);
  const node = await start(
    sqlite({}, { store_timeout: 2000, on_store_error: "ignore", publish_ack: "async", on_unstorable: "acknowledge" }),
  );
  assert.deepEqual(node.configured, { opcode: 0x60, request: 1 });
  const { topics, ignoreStoreErrors, asyncPublishAck, acknowledgeUnstorable, timeout } = node.settings ?? {};
  assert.deepEqual(
    { topics, ignoreStoreErrors, asyncPublishAck, acknowledgeUnstorable, timeout },
    { topics: ["t/#"], ignoreStoreErrors: true, asyncPublishAck: true, acknowledgeUnstorable: true, timeout: 3000 },
  );
  assert.equal(node.health, undefined);
  assert.deepEqual(await node.publish("t/1", "1"), { result: "stored" });
  assert.equal(engine.life.engine?.stores?.where, `${join(directory, "messages.db")} (SQLite)`);
});

test("all that is wrong is told and logged, without passwords, and the link waits for a better one", async (t) => {
  const { node: start, log } = await startEngine(t);
  const node = await start({ ...sqlite({ topics: ["a#"] }), redis: { enable: true, password: 12345678 } });
  const first = node.configured?.problem ?? "";
  assert.match(first, /redis\.password must be text in quotes; sqlite\.topics: item 1: .*; sqlite\.enable/);
  assert.equal(node.isUp, false);
  node.configure("no object");
  const noObject = (await configured(node)).problem ?? "";
  assert.match(noObject, /no JSON object/);
  node.configure({ sqlite: off });
  const last = (await configured(node)).problem ?? "";
  assert.match(last, /mysql is missing.*redis is missing/s);
  const logged = log.filter(({ level }) => level === "warn").map(({ message, fields }) => [message, fields.node]);
  assert.deepEqual(
    logged,
    [first, noObject, last].map((problem) => [`a configuration from EMQX is refused: ${problem}`, "first"]),
  );
  assert.ok(!JSON.stringify(log).includes("12345678"));
  node.configure(sqlite());
  assert.equal((await configured(node)).problem, undefined);
  await waitFor(() => node.isUp, { what: "SETTINGS" });
});

test("a change is put to work live: nothing is lost or let through, clients stay, and every node is told", async (t) => {
  const { node: start, engine } = await startEngine(t);
  const node = await start(sqlite());
  const second = await start(sqlite(), "second");
  const client = node.connect("c", { receiveMaximum: 100 });
  node.subscribe("c", "t/#");
  await node.publish("t/1", "0");
  const before = engine.life.engine;
  const changed = sqlite({ topics: ["t/#", "u"], message_ttl: 60 });
  node.configure(changed);
  const outcomes = [];
  for (let number = 1; number <= 40; number += 1) {
    outcomes.push(node.publish("t/1", String(number)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await configured(node)).problem, undefined);
  for (const outcome of await Promise.all(outcomes)) assert.deepEqual(outcome, { result: "stored" });
  assert.notEqual(engine.life.engine, before);
  await waitFor(() => second.settings?.topics.length === 2, { what: "SETTINGS on the other node" });
  assert.deepEqual(node.settings?.topics, ["t/#", "u"]);
  await waitFor(() => client.payloads.length === 41, { what: "all messages" });
  assert.deepEqual(
    client.payloads,
    Array.from({ length: 41 }, (_, number) => String(number)),
  );
  node.ack("c", 100);
  const after = engine.life.engine;
  node.configure(changed);
  await configured(node);
  assert.equal(engine.life.engine, after, "an equal one changes nothing");
});

test("nothing is told of health while one store gives way to the next", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let starts = 0;
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: isChanging, resolve: begins } = Promise.withResolvers<void>();
  const { node: start } = await startEngine(t, {
    createEngine: async (parts) => {
      const engine = await module.createEngine(parts);
      starts += 1;
      if (starts === 1) return engine;
      const { start } = engine;
      engine.start = async () => {
        begins();
        await mayGoOn;
        await start.call(engine);
      };
      return engine;
    },
  });
  const node = await start(sqlite());
  node.configure(sqlite({ topics: ["u"] }));
  await isChanging;
  // The store is looked at every 500 ms.
  t.mock.timers.tick(5000);
  await node.roundTrip();
  goOn();
  await configured(node);
  await waitFor(() => node.settings?.topics[0] === "u", { what: "SETTINGS" });
  await node.roundTrip();
  assert.deepEqual(
    node.healths.filter((problem) => problem !== undefined),
    [],
  );
});

test("a database that cannot be used is no reason to change what runs, and no error for a node that starts", async (t) => {
  const { node: start, engine, log } = await startEngine(t);
  const node = await start(sqlite());
  const away = {
    mysql: off,
    redis: { enable: true, servers: "127.0.0.1:1", topics: ["t/#"], password: "hidden words" },
  };
  const running = engine.life.engine;
  node.configure({ ...away, store_timeout: 500 });
  const { problem = "" } = await configured(node);
  assert.match(problem, /127\.0\.0\.1:1.*Nothing was changed\.$/s);
  assert.equal(log.filter(({ message }) => message === `a configuration from EMQX is refused: ${problem}`).length, 1);
  assert.equal(engine.life.engine, running);
  assert.deepEqual(await node.publish("t/1", "1"), { result: "stored" });

  const other = await startEngine(t);
  const starting = await other.node({ ...away, store_timeout: 500 });
  assert.equal(starting.configured?.problem, undefined);
  assert.equal(starting.isUp, true);
  await waitFor(() => starting.health !== undefined, { what: "HEALTH" });
  assert.match(starting.health ?? "", /127\.0\.0\.1:1/);
  const refused = await starting.publish("t/1", "1");
  assert.deepEqual(
    { ...refused, request: 0 },
    {
      request: 0,
      result: "refused",
      temporary: true,
      acknowledge: false,
      reasonCode: 0x83,
      delay: 0,
    },
  );
  starting.configure(sqlite());
  assert.equal((await configured(starting)).problem, undefined);
  await waitFor(() => starting.health === undefined, { what: "HEALTH" });
  assert.ok(!JSON.stringify([...log, ...other.log, starting.health]).includes("hidden words"));
});

test("with no database nothing is stored, and what is held goes live", async (t) => {
  const { node: start } = await startEngine(t);
  const node = await start(sqlite());
  node.connect("c");
  node.subscribe("c", "t/#");
  node.configure({ mysql: off, redis: off });
  await configured(node);
  await waitFor(() => node.settings?.topics.length === 0, { what: "SETTINGS without filters" });
  await waitFor(() => !node.isCatchingUp("c", "t/#"), { what: "LIVE" });
  assert.deepEqual(await node.publish("t/1", "1"), { result: "pass" });
  assert.deepEqual(node.client("c").payloads, ["1"]);
});

test("without topics no message is stored, which the log says; what was stored before is delivered, and subscriptions are kept", async (t) => {
  const { node: start, log, directory } = await startEngine(t);
  const node = await start(sqlite());
  await node.publish("t/1", "before");
  const store = `${join(directory, "messages.db")} (SQLite)`;
  const told = (): unknown[] => log.filter(({ fields }) => "store" in fields);
  assert.deepEqual(told(), [{ level: "info", message: "the engine stores messages", fields: { store } }]);
  node.configure(sqlite({ topics: [] }));
  assert.equal((await configured(node)).problem, undefined);
  await waitFor(() => node.settings?.topics.length === 0, { what: "SETTINGS without filters" });
  const message = "topics is empty: no message is stored, only subscriptions; what was stored before is delivered";
  assert.deepEqual(told().slice(1), [{ level: "warn", message, fields: { store } }]);
  assert.deepEqual(await node.publish("t/1", "after"), { result: "pass" });
  node.connect("c");
  node.subscribe("c", "t/#");
  await waitFor(() => node.client("c").payloads.length > 0, { what: "the message of before" });
  await waitFor(() => !node.isCatchingUp("c", "t/#"), { what: "LIVE" });
  assert.deepEqual(node.client("c").payloads, ["before"]);
  node.disconnect("c");
  node.connect("c");
  await waitFor(() => node.client("c").subscriptions.has("t/#"), { what: "the subscription of before" });
});

test("a node that comes with another configuration is the one that is right, with a warning", async (t) => {
  const { node: start, log } = await startEngine(t);
  const first = await start(sqlite());
  const second = await start(sqlite({ topics: ["u"] }), "second");
  assert.deepEqual(second.settings?.topics, ["u"]);
  await waitFor(() => first.settings?.topics[0] === "u", { what: "SETTINGS on the first node" });
  const warnings = log.filter(({ level }) => level === "warn").map(({ message, fields }) => [message, fields.node]);
  assert.deepEqual(warnings, [["a node comes with another configuration, which replaces the one that ran", "second"]]);
});

test("what is acknowledged, subscribed and unsubscribed while the engine changes counts", async (t) => {
  let isHolding = false;
  let begin: (() => void) | undefined;
  const {
    node: start,
    engine,
    directory,
  } = await startEngine(t, {
    createEngine: async (parts) => {
      const created = await module.createEngine(parts);
      if (!isHolding) return created;
      // Like a database that takes its time.
      return {
        ...created,
        hooks: created.hooks,
        stores: created.stores,
        storeHealth: () => created.storeHealth(),
        stop: () => created.stop(),
        start: async () => {
          await new Promise<void>((resolve) => {
            begin = resolve;
          });
          await created.start();
        },
      };
    },
  });
  const node = await start(sqlite());
  node.connect("c");
  node.subscribe("c", "t/1");
  await node.publish("t/1", "1");
  await waitFor(() => node.client("c").payloads.length === 1, { what: "the message" });
  await node.roundTrip();
  isHolding = true;
  node.configure(sqlite({ message_ttl: 60 }));
  await waitFor(() => begin, { what: "the next engine" });
  node.ack("c");
  node.unsubscribe("c", "t/1");
  node.subscribe("c", "t/2");
  await node.roundTrip();
  begin?.();
  assert.equal((await configured(node)).problem, undefined);
  await node.roundTrip();
  node.disconnect("c");
  node.connect("c");
  await waitFor(() => node.client("c").subscriptions.size > 0, { what: "restored subscriptions" });
  await engine.stop("the test is over");
  const database = new DatabaseSync(join(directory, "messages.db"), { readOnly: true });
  t.after(() => database.close());
  assert.deepEqual(database.prepare("SELECT count(*) AS messages FROM mqtt_msg").get()?.messages, 0);
  assert.deepEqual([...node.client("c").subscriptions.keys()], ["t/2"]);
});

test("what is published while an engine does not start waits for the one that does", async (t) => {
  let fails = false;
  const { node: start } = await startEngine(t, {
    createEngine: async (parts) => {
      if (fails) throw new Error("no engine today");
      return module.createEngine(parts);
    },
  });
  const node = await start(sqlite());
  fails = true;
  node.configure(sqlite({ message_ttl: 60 }));
  assert.equal((await configured(node)).problem, "The engine failed: no engine today");
  const publish = node.publish("t/1", "1");
  await node.roundTrip();
  fails = false;
  node.configure(sqlite({ message_ttl: 61 }));
  assert.equal((await configured(node)).problem, undefined);
  assert.deepEqual(await publish, { result: "stored" });
});

test("more configurations than may wait are answered so", async (t) => {
  const { node: start, scope } = await startEngine(t);
  const node = await start(sqlite());
  const { port } = await SilentServer.start(scope);
  const slow = {
    mysql: off,
    redis: { enable: true, servers: `127.0.0.1:${port}`, topics: ["t/#"] },
    store_timeout: 1500,
  };
  const problems: string[] = [];
  for (let number = 0; number < 70; number += 1) node.configure(slow);
  await waitFor(
    () => {
      const { problem } = node.configured ?? {};
      if (problem !== undefined) problems.push(problem);
      node.configured = undefined;
      return problems.some((text) => text.includes("64 configurations wait already"));
    },
    { what: "a refusal", interval: 0 },
  );
  node.breakLink();
});
