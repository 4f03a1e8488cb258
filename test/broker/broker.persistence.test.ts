// What outlives the broker: sessions, what they owe, QoS 2 identifiers, wills and retained messages, in broker.db.

import assert from "node:assert/strict";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { Broker } from "../../src/broker/broker.ts";
import { BrokerDatabaseError } from "../../src/broker/errors.ts";
import { lowestIdAt } from "../../src/mqtt/message-id.ts";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { type BrokerFixture, type FixtureOptions, loggerInto, startBroker } from "./broker-fixture.ts";
import { RawClient, text } from "./raw-client.ts";
import { ScriptedHooks } from "./scripted-hooks.ts";

/** Starts a broker on a database file, and others after it on the same. */
function brokers(t: TestContext, options: FixtureOptions = {}) {
  const databasePath = join(temporaryDirectory(t), "broker.db");
  let running: BrokerFixture | undefined;
  return {
    databasePath,
    async next(more: FixtureOptions = {}): Promise<BrokerFixture> {
      await running?.broker.stop();
      running = await startBroker(t, { databasePath, withoutHooks: true, ...options, ...more });
      return running;
    },
    /** Counts rows in the file. */
    count(table: string): number {
      const file = new DatabaseSync(databasePath, { readOnly: true });
      try {
        return Number(file.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.rows);
      } finally {
        file.close();
      }
    },
    /** Keeps everybody else from writing to the file until the function that it returns is called. */
    lock(): () => void {
      const file = lockDatabase(databasePath);
      let isLocked = true;
      const unlock = (): void => {
        if (isLocked) file.close();
        isLocked = false;
      };
      t.after(unlock);
      return unlock;
    },
  };
}

for (const version of [4, 5] as const) {
  test(`MQTT ${version}: a session with its subscriptions and its queue outlives the broker`, async (t) => {
    const file = brokers(t);
    const first = await file.next();
    const client = await first.connectPersistent("sub", { version });
    await client.subscribe("t/#", { qos: 2 });
    await client.subscribe("gone");
    await client.unsubscribe("gone");
    await client.break();
    const publisher = await first.connect("pub");
    for (const payload of ["1", "2", "3"]) await publisher.publishAcked("t/a", payload);

    const second = await file.next();
    const late = await second.connect("late");
    await late.publishAcked("t/b", "4");
    const back = await second.connectPersistent("sub", { version });
    assert.equal(back.connack?.sessionPresent, true);
    for (const payload of ["1", "2", "3", "4"]) {
      const packet = await back.next("publish");
      assert.deepEqual([text(packet), packet.dup, packet.qos], [payload, false, 1]);
      back.puback(packet.packetId);
    }
    await late.publishAcked("gone", "nobody");
    await late.publishAcked("t/c", "5");
    const live = await back.next("publish");
    assert.equal(text(live), "5");
    back.puback(live.packetId);
    assert.deepEqual(await back.ping(), []);

    const third = await file.next();
    const again = await third.connectPersistent("sub", { version });
    assert.equal(again.connack?.sessionPresent, true);
    assert.deepEqual(await again.ping(), []);
    assert.equal(file.count("delivery"), 0);
    assert.equal(file.count("message"), 0);
  });
}

test("the options of a subscription outlive the broker", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  const client = await first.connectPersistent("both");
  await client.subscribe("t", { qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 }, 268_435_455);
  await client.subscribe("t/+", { qos: 2 }, 7);
  await client.break();
  const second = await file.next();
  const publisher = await second.connect("pub");
  const back = await second.connectPersistent("both");
  back.publish("t", { payload: "own" });
  await back.next("puback");
  publisher.publish("t", { payload: "other", retain: true });
  const packet = await back.next("publish");
  assert.equal(text(packet), "other");
  assert.equal(packet.retain, true);
  assert.deepEqual(packet.properties?.subscriptionIdentifiers, [268_435_455]);
  back.puback(packet.packetId);
  publisher.publish("t/x", { payload: "two", qos: 2 });
  const two = await back.next("publish");
  assert.equal(two.qos, 2);
  assert.deepEqual(two.properties?.subscriptionIdentifiers, [7]);
});

test("a message comes back as it was, whatever it has", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  const client = await first.connectPersistent("sub");
  await client.subscribe("t", { qos: 1 }, 3);
  await client.break();
  const publisher = await first.connect("pub");
  const properties = {
    payloadFormatIndicator: 1,
    contentType: "text/plain",
    responseTopic: "answers/here",
    correlationData: Buffer.from([0, 1, 255]),
    userProperties: [
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
    ],
    messageExpiryInterval: 3600,
  } as const;
  await publisher.publishAcked("t", "ü€", { properties });
  await publisher.publishAcked("t", "");
  const second = await file.next();
  const back = await second.connectPersistent("sub");
  const packet = await back.next("publish");
  assert.equal(text(packet), "ü€");
  const { messageExpiryInterval, correlationData, ...rest } = packet.properties ?? {};
  assert.ok(messageExpiryInterval !== undefined && messageExpiryInterval > 3590 && messageExpiryInterval <= 3600);
  assert.deepEqual(Buffer.from(correlationData ?? []), properties.correlationData);
  const { messageExpiryInterval: _expiry, correlationData: _data, ...expected } = properties;
  assert.deepEqual(rest, { ...expected, subscriptionIdentifiers: [3] });
  assert.equal(text(await back.next("publish")), "");
});

test("what is in flight is sent again after a restart with DUP and its Packet Identifier, PUBREL after PUBREC", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  const client = await first.connectPersistent("sub");
  await client.subscribe("t", { qos: 2 });
  const publisher = await first.connect("pub");
  await publisher.publishAcked("t", "one");
  for (const payload of ["released", "two"]) {
    publisher.publish("t", { payload, qos: 2 });
    await publisher.next("pubrec");
  }
  const packets = [await client.next("publish"), await client.next("publish"), await client.next("publish")];
  const [one, released, two] = packets.map(({ packetId }) => packetId as number) as [number, number, number];
  client.send({ type: "pubrec", packetId: released, reasonCode: 0 });
  assert.equal((await client.next("pubrel")).packetId, released);
  await client.break();

  const second = await file.next();
  const back = await second.connectPersistent("sub");
  const again = await back.next("publish");
  assert.deepEqual([text(again), again.dup, again.packetId], ["one", true, one]);
  assert.equal((await back.next("pubrel")).packetId, released);
  const last = await back.next("publish");
  assert.deepEqual([text(last), last.dup, last.packetId], ["two", true, two]);
  assert.deepEqual(await back.ping(), []);
  // New messages get other Packet Identifiers.
  const late = await second.connect("late");
  late.publish("t", { payload: "new" });
  const fresh = await back.next("publish");
  assert.ok(![one, released, two].includes(fresh.packetId as number));
});

test("a QoS 2 publish that comes again after a restart is answered and not taken twice; released, its identifier is free", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  const client = await first.connectPersistent("sub");
  await client.subscribe("t", { qos: 1 });
  await client.break();
  const publisher = await first.connectPersistent("pub");
  publisher.publish("t", { payload: "once", qos: 2, packetId: 5 });
  await publisher.next("pubrec");
  publisher.publish("t", { payload: "released", qos: 2, packetId: 6 });
  await publisher.next("pubrec");
  publisher.send({ type: "pubrel", packetId: 6, reasonCode: 0 });
  await publisher.next("pubcomp");
  await publisher.break();

  const second = await file.next();
  const again = await second.connectPersistent("pub");
  again.publish("t", { payload: "once", qos: 2, packetId: 5, dup: true });
  assert.equal((await again.next("pubrec")).reasonCode, ReasonCode.Success);
  again.send({ type: "pubrel", packetId: 5, reasonCode: 0 });
  assert.equal((await again.next("pubcomp")).reasonCode, ReasonCode.Success);
  again.send({ type: "pubrel", packetId: 6, reasonCode: 0 });
  assert.equal((await again.next("pubcomp")).reasonCode, ReasonCode.PacketIdentifierNotFound);
  for (const packetId of [5, 6]) {
    again.publish("t", { payload: `new ${packetId}`, qos: 2, packetId });
    await again.next("pubrec");
  }
  const back = await second.connectPersistent("sub");
  assert.deepEqual(await back.nextPayloads(4), ["once", "released", "new 5", "new 6"]);
  assert.deepEqual(await back.ping(), []);
});

test("Packet Identifiers that a plugin stored with their messages are known, unless a new session came", async (t) => {
  const file = brokers(t, { withoutHooks: false });
  const first = await file.next();
  const publishers = await Promise.all(["kept", "renewed", "newer"].map((name) => first.connectPersistent(name)));
  for (const publisher of publishers) {
    publisher.publish("t", { payload: "x", qos: 2, packetId: 9 });
    await publisher.next("pubrec");
    await publisher.break();
  }
  const { packetIds } = first.hooks;
  assert.deepEqual(
    packetIds.map(({ message, packetId }) => [message.from, packetId]),
    [
      ["kept", 9],
      ["renewed", 9],
      ["newer", 9],
    ],
  );
  const watcher = await first.connectPersistent("watcher");
  await watcher.subscribe("t", { qos: 2 });
  await first.broker.stop();
  // As if the broker had been killed after the store had committed, and before its own file had.
  const database = new DatabaseSync(file.databasePath);
  database.exec("DELETE FROM incoming_publish");
  database.prepare("UPDATE watermark SET stored_up_to = ?").run("0".repeat(32));
  database.prepare("DELETE FROM session WHERE client_id = 'renewed'").run();
  database.prepare("UPDATE session SET began_after = ? WHERE client_id = 'newer'").run(first.broker.ids.next());
  database.close();

  const second = await file.next({ packetIds });
  const kept = await second.connectPersistent("kept");
  kept.publish("t", { payload: "x", qos: 2, packetId: 9, dup: true });
  await kept.next("pubrec");
  assert.deepEqual(second.hooks.published, []);
  // It was stored and not routed: that is made up for.
  const back = await second.connectPersistent("watcher");
  const { packetId } = await back.next("publish");
  back.send({ type: "pubrec", packetId: packetId as number, reasonCode: 0 });
  await back.next("pubrel");
  assert.deepEqual(await back.ping(), []);
  // A Packet Identifier of an earlier session is free.
  const newer = await second.connectPersistent("newer");
  newer.publish("elsewhere", { payload: "z", qos: 2, packetId: 9 });
  await newer.next("pubrec");
  const renewed = await second.connectPersistent("renewed");
  renewed.publish("t", { payload: "y", qos: 2, packetId: 9 });
  await renewed.next("pubrec");
  assert.deepEqual(
    second.hooks.published.map(({ payload }) => String(payload)),
    ["z", "y"],
  );
});

test("Packet Identifiers that a plugin stored are not taken for known before they are read", async (t) => {
  const file = brokers(t, { withoutHooks: false });
  const first = await file.next();
  const publisher = await first.connectPersistent("pub");
  await publisher.subscribe("t");
  await publisher.break();
  await first.broker.stop();
  const watermark = "0".repeat(32);
  const database = new DatabaseSync(file.databasePath);
  t.after(() => database.close());
  // As if the client had been connected when the broker was killed: its session changes at the start.
  database.exec("UPDATE session SET expires_at = NULL");
  database.prepare("UPDATE watermark SET stored_up_to = ?").run(watermark);
  const read = (sql: string): unknown => database.prepare(sql).get()?.value;
  const hooks = new ScriptedHooks();
  let before: unknown;
  hooks.listPacketIds = async () => {
    await waitFor(() => read("SELECT expires_at AS value FROM session") !== null, { what: "the change to be saved" });
    before = read("SELECT stored_up_to AS value FROM watermark");
    return [];
  };
  const { databasePath } = file;
  const second = new Broker({ options: { port: 0 }, databasePath, hooks, logger: loggerInto([]) });
  t.after(() => second.stop());
  await second.start();
  assert.equal(before, watermark);
  assert.ok(second.ids.next() > watermark);
});

test("ids rise above the watermark, whatever the clock says", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  await (await first.connectPersistent("client")).break();
  await first.broker.stop();
  const later = lowestIdAt(Date.now() + 3_600_000);
  const database = new DatabaseSync(file.databasePath);
  database.prepare("UPDATE watermark SET stored_up_to = ?").run(later);
  database.close();
  const second = await file.next();
  assert.ok(second.broker.ids.next() > later);
});

test("a stored message is in the file before its publisher is answered, also while its subscription catches up", async (t) => {
  const file = brokers(t, { withoutHooks: false });
  const { broker, hooks, connect, connectPersistent } = await file.next();
  const subscriber = await connectPersistent("sub");
  const target = { clientId: "sub", topicFilter: "t" };
  hooks.onSubscribed = () => broker.host.beginCatchUp(target, false);
  await subscriber.subscribe("t");
  const publisher = await connect("pub");
  await publisher.publishAcked("t", "1");
  await publisher.publishAcked("t", "2");
  assert.equal(file.count("delivery"), 2);
  assert.deepEqual(
    hooks.calls.filter((call) => /^(delivered|routed)/.test(call)),
    ["delivered sub 1 qos1", "routed 1", "delivered sub 2 qos1", "routed 2"],
  );
  // What is replayed and was published later comes behind.
  broker.host.deliver("sub", "t", { ...hooks.message("1"), id: broker.ids.next(), payload: Buffer.from("3") });
  assert.deepEqual(await subscriber.nextPayloads(3), ["1", "2", "3"]);
  await publisher.publishAcked("t", "4");
  assert.deepEqual(await subscriber.ping(), []);
  broker.host.goLive(target);
  assert.equal(text(await subscriber.next("publish")), "4");
});

test("a QoS 2 message that a client has had is acknowledged again after a restart until the store has removed it", async (t) => {
  const file = brokers(t, { withoutHooks: false });
  const first = await file.next();
  const subscriber = await first.connectPersistent("sub");
  await subscriber.subscribe("t", { qos: 2 });
  const publisher = await first.connect("pub");
  for (const payload of ["completed", "released", "removed"]) {
    publisher.publish("t", { payload, qos: 2 });
    await publisher.next("pubrec");
    const { packetId } = await subscriber.next("publish");
    subscriber.send({ type: "pubrec", packetId: packetId as number, reasonCode: 0 });
    await subscriber.next("pubrel");
    if (payload === "released") continue;
    subscriber.send({ type: "pubcomp", packetId: packetId as number, reasonCode: 0 });
    await subscriber.ping();
  }
  first.broker.host.messagesRemoved([first.hooks.message("removed")]);

  const second = await file.next();
  assert.equal(file.count("delivery"), 2);
  const ids = ["completed", "released"].map((payload) => first.hooks.message(payload).id);
  assert.deepEqual(
    second.hooks.calls,
    ids.map((id) => `acked sub ${id}`),
  );
  const back = await second.connectPersistent("sub");
  const { packetId } = await back.next("pubrel");
  second.broker.host.messagesRemoved(ids.map((id) => ({ id })));
  back.send({ type: "pubcomp", packetId: packetId as number, reasonCode: 0 });
  assert.deepEqual(await back.ping(), []);
  await file.next();
  assert.deepEqual([file.count("delivery"), file.count("message")], [0, 0]);
});

test("a stored QoS 2 message is reported as acknowledged only when its Packet Identifier is saved", async (t) => {
  const file = brokers(t, { withoutHooks: false });
  const { hooks, connect, connectPersistent } = await file.next();
  const subscriber = await connect("sub");
  await subscriber.subscribe("t", { qos: 2 });
  const publisher = await connectPersistent("pub");
  const unlock = file.lock();
  publisher.publish("t", { payload: "x", qos: 2 });
  const { packetId } = await subscriber.next("publish");
  subscriber.send({ type: "pubrec", packetId: packetId as number, reasonCode: 0 });
  await subscriber.next("pubrel");
  assert.deepEqual(
    hooks.calls.filter((call) => call.startsWith("acked")),
    [],
  );
  assert.deepEqual(publisher.waiting, []);
  unlock();
  await hooks.called("acked sub x");
  await publisher.next("pubrec");
});

test("retained messages outlive the broker: the last of each topic, until it expires or is removed", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  const publisher = await first.connect("pub");
  for (const payload of ["old", "new"]) await publisher.publishAcked("r/kept", payload, { retain: true });
  await publisher.publishAcked("r/removed", "x", { retain: true });
  await publisher.publishAcked("r/removed", "", { retain: true });
  await publisher.publishAcked("r/expires", "x", { retain: true, properties: { messageExpiryInterval: 1 } });
  publisher.publish("r/zero", { payload: "zero", qos: 0, retain: true });
  await publisher.ping();
  const expiry = Date.now() + 1000;

  const second = await file.next();
  assert.equal(file.count("retained"), 3);
  const client = await second.connect("sub");
  await waitFor(() => Date.now() > expiry, { what: "the message to expire" });
  await client.subscribe("r/#");
  const packets = [await client.next("publish"), await client.next("publish")];
  assert.deepEqual(
    packets.map((packet) => [packet.topic, text(packet), packet.retain, packet.qos]),
    [
      ["r/kept", "new", true, 1],
      ["r/zero", "zero", true, 0],
    ],
  );
  assert.deepEqual(await client.ping(), []);
});

test("a message that many sessions wait for is in the file once, and goes with the last of them", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  for (const clientId of ["a", "b", "c"]) {
    const client = await first.connectPersistent(clientId);
    await client.subscribe("t");
    await client.break();
  }
  const publisher = await first.connect("pub");
  await publisher.publishAcked("t", "x", { retain: true });
  assert.deepEqual([file.count("message"), file.count("delivery"), file.count("retained")], [1, 3, 1]);
  const second = await file.next();
  await (await second.connect("pub")).publishAcked("t", "", { retain: true });
  for (const clientId of ["a", "b"]) {
    const client = await second.connectPersistent(clientId);
    assert.equal(text(await client.next("publish")), "x");
    client.puback(1);
    // The empty message is for live subscribers as well.
    client.puback((await client.next("publish")).packetId);
    await client.ping();
  }
  // Clean Start: what the session had is gone.
  await (await second.connect("c", { cleanStart: true })).ping();
  await file.next();
  assert.deepEqual([file.count("message"), file.count("delivery"), file.count("session")], [0, 0, 2]);
});

test("sessions end while the broker is down, with their wills; others wait on", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  const will = (topic: string, willDelayInterval: number) => ({
    topic,
    payload: Buffer.from("gone"),
    qos: 1 as const,
    retain: false,
    properties: { willDelayInterval },
  });
  const watcher = await first.connectPersistent("watcher");
  await watcher.subscribe("will/#");
  await watcher.break();
  const short = await first.connect("short", {
    cleanStart: false,
    properties: { sessionExpiryInterval: 1 },
    will: will("will/short", 3600),
  });
  await short.break();
  const expiry = Date.now() + 1000;
  const long = await first.connectPersistent("long", { will: will("will/long", 3600) });
  await long.break();
  const back = await first.connectPersistent("back", { will: will("will/back", 3600) });
  await back.break();
  await waitFor(() => first.broker.metrics.connections === 0, { what: "all clients to be gone" });
  await first.broker.stop();
  await waitFor(() => Date.now() > expiry, { what: "the session to expire" });

  const second = await file.next();
  const again = await second.connectPersistent("watcher");
  assert.equal((await again.next("publish")).topic, "will/short");
  again.puback(1);
  assert.equal((await second.connectPersistent("short")).connack?.sessionPresent, false);
  // Its client is back: the will is not published.
  assert.equal((await second.connectPersistent("back")).connack?.sessionPresent, true);
  assert.equal(file.count("will"), 1);
  // Its session is discarded: the will is due.
  await second.connect("long");
  assert.equal((await again.next("publish")).topic, "will/long");
  assert.deepEqual(await again.ping(), []);
});

test("the in-flight window and the queue of a session that came back keep their limits", async (t) => {
  const file = brokers(t, { maxInflight: 2, maxMqueueLen: 3 });
  const first = await file.next();
  const client = await first.connectPersistent("sub");
  await client.subscribe("t");
  const publisher = await first.connect("pub");
  for (const payload of ["1", "2", "3", "4", "5", "6"]) await publisher.publishAcked("t", payload);
  await client.nextPayloads(2);
  await client.break();
  const second = await file.next();
  await (await second.connect("pub")).publishAcked("t", "7");
  const back = await second.connectPersistent("sub");
  assert.deepEqual(await back.nextPayloads(2), ["1", "2"]);
  assert.deepEqual(await back.ping(), []);
  back.puback(1);
  back.puback(2);
  assert.deepEqual(await back.nextPayloads(2), ["3", "4"]);
  assert.equal(second.broker.metrics.dropped.queueFull, 1);
});

test("a publish is acknowledged when the session that waits for it has it in the file, others at once", async (t) => {
  const file = brokers(t);
  const { connect, connectPersistent } = await file.next();
  const away = await connectPersistent("away");
  await away.subscribe("t/#");
  await away.break();
  const [publisher, other] = [await connect("pub"), await connect("other")];
  await publisher.ping();
  const unlock = file.lock();
  publisher.publish("t/1", { payload: "x", packetId: 11 });
  assert.equal(await other.publishAcked("elsewhere"), ReasonCode.NoMatchingSubscribers);
  other.publish("t/1", { payload: "zero", qos: 0 });
  assert.deepEqual(await other.ping(), []);
  assert.deepEqual(publisher.waiting, []);
  unlock();
  assert.equal((await publisher.next("puback")).packetId, 11);
  assert.equal(file.count("delivery"), 1);
});

test("CONNACK of a new session, SUBACK and a QoS 2 delivery wait for the file as well, in order", async (t) => {
  const file = brokers(t);
  const { broker, port, connect, connectPersistent } = await file.next();
  const publisher = await connect("pub");
  const client = await connectPersistent("sub");
  let unlock = file.lock();
  client.sendSubscribe([{ topicFilter: "t", qos: 2 }]);
  await waitFor(() => broker.metrics.subscriptions === 1, { what: "the subscription" });
  publisher.publish("t", { payload: "x", qos: 2 });
  await waitFor(() => broker.metrics.messagesSent[2] === 1, { what: "the message to be sent" });
  assert.deepEqual([client.waiting, publisher.waiting], [[], []]);
  unlock();
  await client.next("suback");
  await publisher.next("pubrec");
  const { packetId } = await client.next("publish");
  unlock = file.lock();
  client.send({ type: "pubrec", packetId: packetId as number, reasonCode: 0 }, { type: "pingreq" });
  const late = await RawClient.open(port);
  late.send({
    type: "connect",
    version: 5,
    cleanStart: true,
    keepAlive: 0,
    clientId: "late",
    properties: { sessionExpiryInterval: 60 },
  });
  await publisher.ping();
  assert.deepEqual([client.waiting, late.waiting], [[], []]);
  unlock();
  await client.next("pubrel");
  await client.next("pingresp");
  assert.equal((await late.next("connack")).reasonCode, ReasonCode.Success);
  await late.break();
});

test("who waits too long for the file is disconnected unanswered, and may try again; the log says it once each way", async (t) => {
  const file = brokers(t, { saveTimeout: 0.2 });
  const { log, connect, connectPersistent } = await file.next();
  const away = await connectPersistent("away");
  await away.subscribe("t");
  await away.break();
  const publisher = await connect("pub");
  await publisher.ping();
  const unlock = file.lock();
  publisher.publish("t", { payload: "x" });
  await publisher.closed();
  assert.deepEqual(publisher.waiting, []);
  const failures = () => log.filter(({ level }) => level === "error");
  await waitFor(() => failures().length > 0, { what: "the trouble to be logged" });
  unlock();
  const healed = () => log.filter(({ level, message }) => level === "info" && message.includes("saved again"));
  await waitFor(() => healed().length > 0, { what: "the end of the trouble to be logged" });
  const again = await connect("pub");
  again.publish("t", { payload: "x", dup: true });
  await again.next("puback");
  assert.deepEqual([failures().length, healed().length], [1, 1]);
  assert.ok(failures()[0]?.fields.err instanceof BrokerDatabaseError);
});

for (const how of ["removed", "replaced by an old copy"] as const) {
  test(`the file is ${how} while the broker runs: all is written anew`, async (t) => {
    const file = brokers(t);
    const first = await file.next();
    const will = { topic: "will", payload: Buffer.from("gone"), qos: 1 as const, retain: false };
    for (const clientId of ["s1", "s2"]) {
      const client = await first.connectPersistent(clientId);
      await client.subscribe("t");
      await client.break();
    }
    // It is in the copy, and is not to come back.
    const discarded = await first.connectPersistent("discarded");
    await discarded.break();
    await first.connectPersistent("with-will", { will: { ...will, properties: { willDelayInterval: 3600 } } });
    const publisher = await first.connect("pub");
    await publisher.publishAcked("t", "1", { retain: true });
    const copy = new DatabaseSync(file.databasePath);
    copy.exec(`VACUUM INTO '${file.databasePath}.copy'`);
    copy.close();
    const incoming = await first.connectPersistent("incoming");
    incoming.publish("elsewhere", { qos: 2, packetId: 7 });
    await incoming.next("pubrec");
    await (await first.connect("discarded", { cleanStart: true })).ping();
    for (const ending of ["", "-wal", "-shm"]) rmSync(file.databasePath + ending, { force: true });
    if (how !== "removed") renameSync(`${file.databasePath}.copy`, file.databasePath);
    await publisher.publishAcked("t", "2");
    const errors = first.log.filter(({ level }) => level === "error");
    assert.match(String(errors[0]?.fields.err), /removed or replaced/);

    const second = await file.next();
    assert.deepEqual(
      ["session", "message", "delivery", "retained", "will", "incoming_publish"].map(file.count),
      [4, 3, 4, 1, 1, 1],
    );
    for (const clientId of ["s1", "s2"]) {
      const client = await second.connectPersistent(clientId);
      assert.deepEqual(await client.nextPayloads(2), ["1", "2"]);
    }
  });
}

test("a client that sends on while its acknowledgements are held is not read beyond a limit", async (t) => {
  const file = brokers(t, { saveTimeout: 60 });
  const { broker, connect, connectPersistent } = await file.next();
  const away = await connectPersistent("away");
  await away.subscribe("t");
  await away.break();
  const publisher = await connect("pub", { version: 4 });
  await publisher.ping();
  const unlock = file.lock();
  const count = 3000;
  for (let sent = 0; sent < count; sent++) publisher.publish("t", { payload: "x" });
  await waitFor(() => broker.metrics.messagesReceived[1] >= 1000, { what: "the limit to be reached" });
  const other = await connect("other");
  for (let turn = 0; turn < 20; turn++) await other.ping();
  assert.ok(broker.metrics.messagesReceived[1] < 1100, `${broker.metrics.messagesReceived[1]} were read`);
  unlock();
  for (let acked = 0; acked < count; acked++) await publisher.next("puback");
});

test("a file that is no database, or of a newer release, keeps the broker from starting and says what to do", async (t) => {
  const directory = temporaryDirectory(t);
  const garbage = join(directory, "garbage.db");
  writeFileSync(garbage, "this is no database, but it is long enough to be looked at".repeat(100));
  const newer = join(directory, "newer.db");
  const database = new DatabaseSync(newer);
  database.exec("PRAGMA user_version = 1000");
  database.close();
  for (const [databasePath, expected] of [
    [garbage, /not an SQLite database: move it away/],
    [newer, /start the newer release again/],
    ["/proc/nobody/broker.db", /cannot be made/],
  ] as const) {
    const broker = new Broker({ options: { port: 0 }, databasePath, logger: loggerInto([]) });
    await assert.rejects(broker.start(), (error) => {
      assert.ok(error instanceof BrokerDatabaseError);
      assert.match(error.message, expected);
      return true;
    });
  }
});

test("rows whose session or message is missing are passed over and removed", async (t) => {
  const file = brokers(t);
  const first = await file.next();
  for (const clientId of ["whole", "lost"]) {
    const client = await first.connectPersistent(clientId);
    client.publish("elsewhere", { qos: 2 });
    await client.next("pubrec");
    await client.subscribe(`t/${clientId}`);
    await client.break();
  }
  const publisher = await first.connect("pub");
  for (const payload of ["x", "y", "z"]) await publisher.publishAcked("t/whole", payload, { retain: payload === "y" });
  await publisher.publishAcked("t/lost", "x");
  await first.broker.stop();
  const database = new DatabaseSync(file.databasePath);
  database.exec("DELETE FROM session WHERE client_id = 'lost'; DELETE FROM message WHERE payload = CAST('y' AS BLOB)");
  database.close();
  const second = await file.next();
  const client = await second.connectPersistent("whole");
  assert.deepEqual(await client.nextPayloads(2), ["x", "z"]);
  await (await second.connect("pub")).publishAcked("t/lost", "nobody waits");
  await file.next();
  assert.deepEqual(
    ["session", "subscription", "incoming_publish", "delivery", "message", "retained"].map(file.count),
    [1, 1, 1, 2, 2, 0],
  );
});

test("a file that stays locked does not keep the broker from stopping, and the log says what is lost", async (t) => {
  const file = brokers(t);
  const { broker, connect, connectPersistent, log } = await file.next();
  const away = await connectPersistent("away");
  await away.subscribe("t");
  await away.break();
  const publisher = await connect("pub");
  const unlock = file.lock();
  publisher.publish("t", { payload: "x" });
  await waitFor(() => broker.metrics.messagesReceived[1] === 1, { what: "the message to be taken" });
  await broker.stop();
  unlock();
  assert.deepEqual(publisher.waiting, []);
  assert.ok(log.some(({ level, message }) => level === "error" && message.includes("could not be saved")));
});
