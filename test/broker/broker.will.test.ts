// Will Messages: when they are published, when not, and that they go through the hooks.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Will } from "../../src/mqtt/codec/packets.ts";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { within } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { permanentRefusal } from "./scripted-hooks.ts";

const will = (properties?: Will["properties"], more: Partial<Will> = {}): Will => ({
  topic: "will",
  payload: Buffer.from("farewell"),
  qos: 1,
  retain: false,
  properties,
  ...more,
});

test("a will is published when the connection breaks or the client asks for it, and not after a goodbye", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const watcher = await connect("watcher");
  await watcher.subscribe("will");
  await (await connect("1", { will: will(), version: 4 })).break();
  await watcher.nextPayloads(1);
  await (await connect("2", { will: will() })).disconnect(ReasonCode.DisconnectWithWillMessage);
  await watcher.nextPayloads(1);
  await (await connect("3", { will: will() })).disconnect();
  await (await connect("4", { will: will(), version: 4 })).disconnect();
  const broken = await connect("5", { will: will({ contentType: "text/plain", messageExpiryInterval: 9 }) });
  broken.socket.write(Buffer.from([0xf0, 0x00]));
  const packet = await watcher.next("publish");
  assert.deepEqual(packet.properties, { contentType: "text/plain", messageExpiryInterval: 9 });
  assert.deepEqual(await watcher.ping(), []);
  assert.equal(broker.metrics.willsPublished, 3);
  assert.deepEqual(
    hooks.published.map(({ from }) => from),
    ["1", "2", "5"],
  );
});

test("a will comes after the client's own publishes, is stored first, and may be retained", async (t) => {
  const { hooks, connect } = await startBroker(t);
  hooks.answer = () => "later";
  const watcher = await connect("watcher");
  await watcher.subscribe("#");
  const client = await connect("c", { will: will(undefined, { retain: true }) });
  client.publish("t", { payload: "last words" });
  await hooks.waiting(1);
  await client.break();
  await hooks.waiting(2);
  hooks.settle("farewell");
  assert.deepEqual(await watcher.ping(), []);
  hooks.settle("last words");
  assert.deepEqual(await watcher.nextPayloads(2), ["last words", "farewell"]);
  const later = await connect("later");
  await later.subscribe("will");
  assert.equal((await later.next("publish")).retain, true);
});

test("wills that are refused are logged once a minute and not routed", async (t) => {
  const { broker, hooks, connect, log } = await startBroker(t);
  hooks.answer = () => permanentRefusal;
  const watcher = await connect("watcher");
  await watcher.subscribe("#");
  for (const clientId of ["1", "2", "3"]) {
    await (await connect(clientId, { will: will() })).break();
    await hooks.called(`terminated ${clientId}`);
  }
  assert.deepEqual(await watcher.ping(), []);
  const { reasonCode, reasonString } = permanentRefusal;
  assert.deepEqual(
    log.filter(({ level }) => level === "warn").map(({ fields }) => fields),
    [{ clientId: "1", topic: "will", reasonCode, reasonString, count: 1 }],
  );
  assert.deepEqual([broker.metrics.willsRefused, broker.metrics.publishesRefused], [3, 0]);
});

test("Will Delay Interval: published late, once, and not when the client is back before", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t);
  const watcher = await connect("watcher");
  await watcher.subscribe("will");
  const delayed = { will: will({ willDelayInterval: 1 }) };
  await (await connectPersistent("c", delayed)).break();
  await hooks.called("disconnected c");
  assert.deepEqual(await watcher.ping(), []);
  const back = await connectPersistent("c", delayed);
  assert.equal(back.connack?.sessionPresent, true);
  const since = performance.now();
  await back.break();
  const packet = await watcher.next("publish");
  assert.ok(performance.now() - since > 900);
  assert.equal(packet.properties, undefined);
  assert.equal(broker.metrics.willsPublished, 1);
  assert.ok(!hooks.calls.includes("terminated c"));
});

test("the end of the session publishes a delayed will at once", async (t) => {
  const { hooks, connect, connectPersistent } = await startBroker(t);
  const watcher = await connect("watcher");
  await watcher.subscribe("will");
  // No session is left to wait for.
  await (await connect("1", { will: will({ willDelayInterval: 3600 }) })).break();
  await watcher.nextPayloads(1);
  // A new session takes the place of the old one.
  await connectPersistent("2", { will: will({ willDelayInterval: 3600 }) });
  await connect("2");
  await watcher.nextPayloads(1);
  assert.ok(hooks.calls.indexOf("terminated 2") > 0);
  assert.deepEqual(await watcher.ping(), []);
});

test("stopping the broker publishes wills and tells MQTT 5 clients", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t);
  await (await connectPersistent("away", { will: will({ willDelayInterval: 3600 }) })).break();
  await hooks.called("disconnected away");
  const five = await connect("five", { will: will() });
  const four = await connect("four", { version: 4 });
  await within(broker.stop(), { what: "the broker to stop" });
  assert.equal((await five.next("disconnect")).reasonCode, ReasonCode.ServerShuttingDown);
  await five.closed();
  await four.closed();
  assert.deepEqual(hooks.published.map(({ from }) => from).sort(), ["away", "five"]);
  assert.ok(hooks.calls.includes("disconnected five"));
  assert.ok(!hooks.calls.some((call) => call.startsWith("terminated")));
  await assert.rejects(connect("late"));
});
