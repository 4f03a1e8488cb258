// Sessions: resumed in order, bounded, taken over, expired.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PublishPacket } from "../../src/mqtt/codec/packets.ts";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { type RawClient, text } from "./raw-client.ts";

async function nextPublishes(client: RawClient, count: number): Promise<PublishPacket[]> {
  const packets: PublishPacket[] = [];
  while (packets.length < count) packets.push(await client.next("publish"));
  return packets;
}

for (const version of [4, 5] as const) {
  test(`MQTT ${version}: a session is resumed: in flight first with DUP, then the queue, in order`, async (t) => {
    const { hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 2 });
    const publisher = await connect("pub");
    const first = await connectPersistent("sub", { version });
    await first.subscribe("t");
    for (const payload of ["1", "2", "3"]) await publisher.publishAcked("t", payload);
    const before = await nextPublishes(first, 2);
    assert.deepEqual(
      before.map((packet) => [text(packet), packet.dup]),
      [
        ["1", false],
        ["2", false],
      ],
    );
    assert.deepEqual(await first.ping(), []);
    await first.break();
    await hooks.called("disconnected sub");
    await publisher.publishAcked("t", "4");
    publisher.publish("t", { qos: 0, payload: "zero" });

    const second = await connectPersistent("sub", { version });
    assert.equal(second.connack?.sessionPresent, true);
    const again = await nextPublishes(second, 2);
    assert.deepEqual(
      again.map((packet) => [text(packet), packet.dup]),
      [
        ["1", true],
        ["2", true],
      ],
    );
    assert.deepEqual(
      again.map(({ packetId }) => packetId),
      before.map(({ packetId }) => packetId),
    );
    for (const packet of again) second.puback(packet.packetId);
    const rest = await nextPublishes(second, 2);
    assert.deepEqual(
      rest.map((packet) => [text(packet), packet.dup]),
      [
        ["3", false],
        ["4", false],
      ],
    );
    const client = hooks.connected.at(-1);
    assert.equal(client?.receiveMaximum, 2);
    assert.deepEqual(
      client?.subscriptions.map(({ topicFilter }) => topicFilter),
      ["t"],
    );
    assert.deepEqual(
      client?.pending.map(({ payload }) => Buffer.from(payload).toString()),
      ["1", "2", "3", "4"],
    );
    assert.deepEqual(await second.ping(), []);
  });
}

test("QoS 2 in flight: PUBLISH again before PUBREC, PUBREL again after it", async (t) => {
  const { hooks, connect, connectPersistent } = await startBroker(t);
  const publisher = await connect("pub");
  const first = await connectPersistent("sub");
  await first.subscribe("t", { qos: 2 });
  for (const payload of ["1", "2"]) {
    publisher.publish("t", { qos: 2, payload });
    await publisher.next("pubrec");
  }
  const [one, two] = await nextPublishes(first, 2);
  first.send({ type: "pubrec", packetId: one?.packetId as number, reasonCode: 0 });
  await first.next("pubrel");
  assert.equal(hooks.calls.filter((call) => call.startsWith("acked")).join(), "acked sub 1");
  await first.break();

  const second = await connectPersistent("sub");
  assert.deepEqual(
    hooks.connected.at(-1)?.pending.map(({ id }) => id),
    [hooks.message("2").id],
  );
  assert.equal((await second.next("pubrel")).packetId, one?.packetId);
  const again = await second.next("publish");
  assert.deepEqual([again.packetId, again.dup], [two?.packetId, true]);
  second.send({ type: "pubcomp", packetId: one?.packetId as number, reasonCode: 0 });
  second.send({ type: "pubrec", packetId: again.packetId as number, reasonCode: ReasonCode.QuotaExceeded });
  await hooks.called("acked sub 2");
  assert.deepEqual(await second.ping(), []);
});

test("the window is the lower of the client's Receive Maximum and maxInflight, also for what is sent again", async (t) => {
  const { connect, connectPersistent, hooks } = await startBroker(t, { maxInflight: 4 });
  const publisher = await connect("pub");
  const first = await connectPersistent("sub", { properties: { receiveMaximum: 100 } });
  await first.subscribe("t");
  for (let at = 0; at < 8; at++) await publisher.publishAcked("t", String(at));
  assert.deepEqual(await first.nextPayloads(4), ["0", "1", "2", "3"]);
  assert.deepEqual(await first.ping(), []);
  await first.break();
  await hooks.called("disconnected sub");
  const second = await connectPersistent("sub", { properties: { receiveMaximum: 2 } });
  for (let at = 0; at < 8; at++) {
    const packet = await second.next("publish");
    assert.equal(text(packet), String(at));
    assert.equal(packet.dup, at < 4);
    // One more waits for its PUBACK.
    if (at > 0) second.puback((packet.packetId as number) - 1);
  }
});

test("a session resumed with a smaller Maximum Packet Size gives up what no longer fits, in flight and queued", async (t) => {
  const { broker, connect, connectPersistent, hooks } = await startBroker(t);
  const publisher = await connect("pub");
  const first = await connectPersistent("sub", { properties: { receiveMaximum: 3 } });
  await first.subscribe("t", { qos: 2 });
  const large = (name: string): string => name.padEnd(100, ".");
  for (const payload of [large("1"), large("2"), "3", large("4"), "5"]) {
    publisher.publish("t", { qos: 2, payload });
    await publisher.next("pubrec");
  }
  const [released, unacknowledged] = await nextPublishes(first, 3);
  first.send({ type: "pubrec", packetId: released?.packetId as number, reasonCode: 0 });
  await first.next("pubrel");
  await first.break();
  await hooks.called("disconnected sub");
  const second = await connectPersistent("sub", { properties: { receiveMaximum: 2, maximumPacketSize: 50 } });
  // What the client has received is only released.
  assert.equal((await second.next("pubrel")).packetId, released?.packetId);
  const again = await second.next("publish");
  assert.deepEqual([text(again), again.dup], ["3", true]);
  await hooks.called(`dropped sub t ${large("2")} too_large`);
  second.send({ type: "pubcomp", packetId: released?.packetId as number, reasonCode: 0 });
  assert.deepEqual(await second.nextPayloads(1), ["5"]);
  await hooks.called(`dropped sub t ${large("4")} too_large`);
  assert.equal(hooks.calls.filter((call) => call.startsWith("dropped")).length, 2);
  assert.equal(broker.metrics.dropped.tooLarge, 2);
  // The Packet Identifier is free.
  second.send({ type: "pubrec", packetId: unacknowledged?.packetId as number, reasonCode: 0 });
  assert.equal((await second.next("pubrel")).reasonCode, ReasonCode.PacketIdentifierNotFound);
});

test("a full queue drops the new message; a connected client's is told to the hooks", async (t) => {
  const { broker, connect, connectPersistent, hooks, log } = await startBroker(t, { maxInflight: 1, maxMqueueLen: 2 });
  const publisher = await connect("pub");
  const subscriber = await connectPersistent("sub");
  await subscriber.subscribe("t/#");
  for (const payload of ["1", "2", "3", "4"]) await publisher.publishAcked("t/a", payload);
  const counts = () => [broker.metrics.leftToStore, broker.metrics.dropped.queueFull];
  assert.deepEqual(counts(), [1, 0]);
  assert.deepEqual(
    hooks.calls.filter((call) => call.startsWith("dropped")),
    ["dropped sub t/# 4 queue_full"],
  );
  hooks.answer = () => "pass";
  await publisher.publishAcked("t/a", "5");
  assert.deepEqual(counts(), [1, 1]);
  assert.equal(log.filter(({ message }) => message.includes("raise mqtt.max_mqueue_len")).length, 1);
  hooks.answer = () => "stored";
  await subscriber.break();
  await hooks.called("disconnected sub");
  await publisher.publishAcked("t/a", "6");
  assert.deepEqual(counts(), [2, 1]);
  assert.equal(hooks.calls.filter((call) => call.startsWith("dropped")).length, 1);
  assert.deepEqual(
    hooks.calls.filter((call) => call.startsWith("delivered")),
    ["delivered sub 1 qos1", "delivered sub 2 qos1", "delivered sub 3 qos1"],
  );
});

test("a queue is full in bytes, too", async (t) => {
  const { broker, connect, connectPersistent, hooks } = await startBroker(t, { maxInflight: 1, maxMqueueBytes: 100 });
  const publisher = await connect("pub");
  const subscriber = await connectPersistent("sub");
  await subscriber.subscribe("t");
  for (const payload of ["1", "2".repeat(50), "3".repeat(48), "4", "5"]) await publisher.publishAcked("t", payload);
  await hooks.called("dropped sub t 4 queue_full");
  await hooks.called("dropped sub t 5 queue_full");
  // Properties count.
  subscriber.puback((await subscriber.next("publish")).packetId);
  subscriber.puback((await subscriber.next("publish")).packetId);
  assert.equal((await subscriber.next("publish")).payload.length, 48);
  const properties = { userProperties: [["name", "v".repeat(80)]] as const, contentType: "x", responseTopic: "y" };
  await publisher.publishAcked("t", "6", { properties: { ...properties, correlationData: Buffer.alloc(13) } });
  await publisher.publishAcked("t", "7", { properties });
  await publisher.publishAcked("t", "8".repeat(12));
  assert.equal(broker.metrics.leftToStore, 4);
  subscriber.puback(3);
  assert.deepEqual(await subscriber.nextPayloads(1), ["7"]);
});

test("in the session of a client that is away, stored messages make room for others", async (t) => {
  const { broker, connect, connectPersistent, hooks } = await startBroker(t, { maxMqueueBytes: 80, maxMqueueLen: 9 });
  const publisher = await connect("pub");
  const subscriber = await connectPersistent("sub");
  await subscriber.subscribe("t");
  await subscriber.disconnect();
  await hooks.called("disconnected sub");
  const publish = async (payload: string, answer: "stored" | "pass") => {
    hooks.answer = () => answer;
    await publisher.publishAcked("t", payload.padEnd(9));
  };
  for (const payload of ["1", "2", "3"]) await publish(payload, "stored");
  for (const payload of ["a", "b"]) await publish(payload, "pass");
  for (const payload of ["4", "5", "6"]) await publish(payload, "stored");
  // Full: a stored message is left to the plugin; for another one the latest stored one goes, and an eighth is free.
  await publish("7", "stored");
  assert.deepEqual([broker.metrics.leftToStore, broker.metrics.dropped.queueFull], [1, 0]);
  await publish("c", "pass");
  await publish("d", "pass");
  assert.deepEqual([broker.metrics.leftToStore, broker.metrics.dropped.queueFull], [3, 0]);
  for (const payload of ["e", "f", "g", "h"]) await publish(payload, "pass");
  assert.deepEqual([broker.metrics.leftToStore, broker.metrics.dropped.queueFull], [7, 0]);
  await publish("i", "pass");
  assert.deepEqual([broker.metrics.leftToStore, broker.metrics.dropped.queueFull], [7, 1]);
  const back = await connectPersistent("sub");
  const payloads = await back.nextPayloads(8);
  assert.deepEqual(
    payloads.map((payload) => payload.trim()),
    ["a", "b", "c", "d", "e", "f", "g", "h"],
  );
  assert.deepEqual(await back.ping(), []);
});

test("acknowledgements are told to the hooks, whatever their reason code", async (t) => {
  const { connect, hooks } = await startBroker(t);
  const client = await connect("c");
  await client.subscribe("t");
  for (const reasonCode of [0, ReasonCode.UnspecifiedError]) {
    await client.publish("t", { payload: `code ${reasonCode}` });
    const packets = [await client.next("publish"), await client.next("puback")] as const;
    client.send({ type: "puback", packetId: packets[0].packetId as number, reasonCode });
    await hooks.called(`acked c code ${reasonCode}`);
  }
});

test("a second connection takes the session over; the first is told 0x8E", async (t) => {
  const { broker, connectPersistent, connect, hooks } = await startBroker(t);
  const publisher = await connect("pub");
  const first = await connectPersistent("c");
  await first.subscribe("t");
  await publisher.publishAcked("t", "1");
  await first.next("publish");
  const second = await connectPersistent("c");
  assert.equal((await first.next("disconnect")).reasonCode, ReasonCode.SessionTakenOver);
  await first.closed();
  assert.equal(second.connack?.sessionPresent, true);
  assert.equal((await second.next("publish")).dup, true);
  const own = hooks.calls.filter((call) => call.endsWith(" c"));
  assert.deepEqual(own, ["connected c", "disconnected c", "connected c"]);
  assert.equal(broker.metrics.takeovers, 1);
  assert.equal(broker.metrics.connections, 2);
  assert.equal(broker.metrics.sessions, 2);
});

test("Clean Start ends the old session before the new one is announced", async (t) => {
  const { broker, connectPersistent, connect, hooks } = await startBroker(t);
  const first = await connectPersistent("c");
  await first.subscribe("t");
  const second = await connect("c");
  assert.equal(second.connack?.sessionPresent, false);
  assert.deepEqual(hooks.calls, ["connected c", "subscribed c t", "disconnected c", "terminated c", "connected c"]);
  assert.deepEqual(hooks.connected.at(-1)?.subscriptions, []);
  assert.equal(broker.metrics.subscriptions, 0);
  await second.disconnect();
  await hooks.called("terminated c", 2);
  assert.equal(broker.metrics.sessions, 0);
});

test("a session ends when its Session Expiry Interval is over", async (t) => {
  const { connectPersistent, hooks } = await startBroker(t);
  const client = await connectPersistent("c", { properties: { sessionExpiryInterval: 1 } });
  await client.disconnect();
  await hooks.called("disconnected c");
  assert.ok(!hooks.calls.includes("terminated c"));
  await hooks.called("terminated c");
  const again = await connectPersistent("c");
  assert.equal(again.connack?.sessionPresent, false);
});

test("the broker's Session Expiry Intervals: of MQTT 3.1.1 clients, and the highest for MQTT 5", async (t) => {
  const { connectPersistent, connect, hooks } = await startBroker(t, {
    sessionExpiryInterval: 1,
    maxSessionExpiryInterval: 1,
  });
  const old = await connectPersistent("old", { version: 4 });
  await old.disconnect();
  const capped = await connectPersistent("capped");
  assert.equal(capped.connack?.properties?.sessionExpiryInterval, 1);
  await capped.disconnect();
  await hooks.called("terminated old");
  await hooks.called("terminated capped");
  const clean = await connect("clean", { version: 4 });
  await clean.disconnect();
  await hooks.called("terminated clean");
});

test("DISCONNECT may change the Session Expiry Interval, but not raise it from 0", async (t) => {
  const { connect, connectPersistent, hooks } = await startBroker(t);
  const kept = await connectPersistent("kept");
  kept.send({ type: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
  await hooks.called("terminated kept");
  const clean = await connect("clean");
  clean.send({ type: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 10 } });
  assert.equal((await clean.next("disconnect")).reasonCode, ReasonCode.ProtocolError);
});

test("sessions and connections are bounded", async (t) => {
  const { connect, connectPersistent, broker } = await startBroker(t, { maxSessions: 2, maxConnections: 2 });
  const first = await connectPersistent("1");
  const second = await connectPersistent("2");
  assert.equal((await connect("3")).connack?.reasonCode, ReasonCode.ServerBusy);
  assert.equal((await connect("3", { version: 4 })).connack?.reasonCode, 3);
  await first.disconnect();
  const third = await connect("3");
  assert.equal(third.connack?.reasonCode, ReasonCode.QuotaExceeded);
  await third.closed();
  assert.equal((await connectPersistent("1")).connack?.sessionPresent, true);
  assert.equal((await connectPersistent("2")).connack?.sessionPresent, true);
  await second.closed();
  assert.equal(broker.metrics.connectsRefused, 3);
});

test("Client Identifiers: assigned, needed, too long, and names that JavaScript knows", async (t) => {
  const { connect, connectPersistent, hooks } = await startBroker(t, { maxClientidLen: 30 });
  const assigned = await connect("");
  const clientId = assigned.connack?.properties?.assignedClientIdentifier;
  assert.match(clientId ?? "", /^auto-[0-9a-f]{24}$/);
  assert.deepEqual(
    hooks.connected.map((client) => [client.clientId, client.clientIdAssigned]),
    [[clientId, true]],
  );
  assert.equal((await connect("", { version: 4 })).connack?.reasonCode, 0);
  assert.equal((await connectPersistent("", { version: 4 })).connack?.reasonCode, 2);
  assert.equal((await connect("x".repeat(31))).connack?.reasonCode, ReasonCode.ClientIdentifierNotValid);
  for (const name of ["__proto__", "constructor", "toString"]) {
    const client = await connectPersistent(name);
    await client.subscribe(`${name}/${name}`, { qos: 1 });
    await client.publish(`${name}/${name}`, { payload: name, retain: true });
    assert.deepEqual(await client.nextPayloads(1), [name]);
    await client.next("puback");
    await client.disconnect();
    const again = await connectPersistent(name);
    assert.equal(again.connack?.sessionPresent, true);
  }
});

test("a session resumed under live traffic gets every message once and in order", async (t) => {
  const { connect, connectPersistent } = await startBroker(t, { maxInflight: 4, maxMqueueLen: 10_000 });
  const publisher = await connect("pub");
  const total = 300;
  const received: number[] = [];
  const subscribe = async (): Promise<RawClient> => connectPersistent("sub", { version: 4 });
  let subscriber = await subscribe();
  await subscriber.subscribe("t");
  const publishing = (async () => {
    for (let at = 0; at < total; at++) await publisher.publishAcked("t", String(at));
  })();
  while (received.length < total) {
    for (let count = 0; count < 25 && received.length < total; count++) {
      const packet = await subscriber.next("publish");
      const number = Number(text(packet));
      // What is sent again after a break was in flight; its acknowledgement may have been lost.
      if (number < received.length) assert.equal(packet.dup, true);
      else received.push(number);
      subscriber.puback(packet.packetId);
    }
    await subscriber.break();
    subscriber = await subscribe();
  }
  await publishing;
  assert.deepEqual(
    received,
    Array.from({ length: total }, (_, at) => at),
  );
});

test("message expiry: the rest of the time is sent on, and what is expired is dropped and done with", async (t) => {
  const { broker, connect, connectPersistent, hooks } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  const subscriber = await connectPersistent("sub");
  await subscriber.subscribe("t");
  await publisher.publishAcked("t", "1", { properties: { messageExpiryInterval: 100 } });
  await publisher.publishAcked("t", "2", { properties: { messageExpiryInterval: 1 } });
  await publisher.publishAcked("t", "3");
  const first = await subscriber.next("publish");
  assert.equal(first.properties?.messageExpiryInterval, 100);
  const expiresAt = hooks.message("2").expiresAt as number;
  await waitFor(() => Date.now() > expiresAt, { what: "the message to expire" });
  subscriber.puback(first.packetId);
  assert.deepEqual(await subscriber.nextPayloads(1), ["3"]);
  await hooks.called("acked sub 2");
  assert.equal(broker.metrics.dropped.expired, 1);
});
