// Publishing: stored before it is acknowledged, acknowledged in order, refused as the protocol allows, QoS 2 taken once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { permanentRefusal, temporaryRefusal } from "./scripted-hooks.ts";

test("a publish is acknowledged and routed only when its hook has settled", async (t) => {
  const { hooks, connect } = await startBroker(t);
  hooks.answer = () => "later";
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  const publisher = await connect("pub");
  publisher.publish("t", { payload: "one" });
  await hooks.waiting(1);
  assert.deepEqual(await publisher.ping(), []);
  assert.deepEqual(await subscriber.ping(), []);
  hooks.settle("one");
  assert.equal((await publisher.next("puback")).reasonCode, ReasonCode.Success);
  assert.deepEqual(await subscriber.nextPayloads(1), ["one"]);
  assert.deepEqual(hooks.calls.slice(-2), ["delivered sub one qos1", "routed one"]);
});

for (const version of [4, 5] as const) {
  test(`MQTT ${version}: acknowledgements and routing keep the order of the publishes [MQTT-4.6.0-2]`, async (t) => {
    const { hooks, connect } = await startBroker(t);
    hooks.answer = (message) => (message.topic === "t/now" ? "pass" : "later");
    const subscriber = await connect("sub");
    await subscriber.subscribe("t/#");
    const publisher = await connect("pub", { version });
    publisher.publish("t/later", { payload: "one" });
    publisher.publish("t/later", { payload: "two" });
    publisher.publish("t/now", { payload: "three" });
    publisher.publish("t/now", { payload: "four", qos: 0 });
    publisher.publish("t/later", { payload: "five", qos: 2 });
    await hooks.waiting(3);
    hooks.settle("five");
    hooks.settle("two");
    assert.deepEqual(await publisher.ping(), []);
    assert.deepEqual(await subscriber.ping(), []);
    hooks.settle("one");
    for (const packetId of [1, 2, 3]) assert.equal((await publisher.next("puback")).packetId, packetId);
    assert.equal((await publisher.next("pubrec")).packetId, 4);
    assert.deepEqual(await subscriber.nextPayloads(5), ["one", "two", "three", "four", "five"]);
    const ids = hooks.published.map(({ id }) => id);
    assert.deepEqual([...ids].sort(), ids);
  });
}

test("MQTT 5: a publish that nobody wants is told so, but not when it is stored", async (t) => {
  const { hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  hooks.answer = () => "pass";
  assert.equal(await publisher.publishAcked("t"), ReasonCode.NoMatchingSubscribers);
  hooks.answer = () => "stored";
  assert.equal(await publisher.publishAcked("t"), ReasonCode.Success);
});

test("QoS 0 publishes go past the hooks", async (t) => {
  const { hooks, connect } = await startBroker(t);
  const client = await connect("c");
  await client.subscribe("t");
  client.publish("t", { qos: 0, payload: "zero" });
  assert.deepEqual(await client.nextPayloads(1), ["zero"]);
  assert.deepEqual(hooks.published, []);
  assert.deepEqual(hooks.calls, ["connected c", "subscribed c t"]);
});

test("MQTT 5: a refusal is told by its reason, is not routed or retained, and the connection goes on", async (t) => {
  const { hooks, connect } = await startBroker(t);
  hooks.answer = ({ topic }) => (topic === "bad" ? temporaryRefusal : "stored");
  const subscriber = await connect("sub");
  await subscriber.subscribe("#");
  const publisher = await connect("pub");
  publisher.publish("bad", { payload: "one", retain: true });
  const puback = await publisher.next("puback");
  assert.equal(puback.reasonCode, ReasonCode.ImplementationSpecificError);
  assert.equal(puback.properties?.reasonString, temporaryRefusal.reasonString);

  const packetId = publisher.publish("bad", { payload: "two", qos: 2 });
  const pubrec = await publisher.next("pubrec");
  assert.equal(pubrec.reasonCode, ReasonCode.ImplementationSpecificError);
  assert.equal(pubrec.properties?.reasonString, temporaryRefusal.reasonString);
  // Its Packet Identifier is free again: another publish may use it.
  publisher.publish("good", { payload: "three", qos: 2, packetId });
  assert.equal((await publisher.next("pubrec")).reasonCode, ReasonCode.Success);
  assert.deepEqual(await subscriber.nextPayloads(1), ["three"]);

  const later = await connect("later");
  await later.subscribe("bad");
  assert.deepEqual(await later.ping(), []);
});

for (const version of [4, 5] as const) {
  test(`MQTT ${version}: publishes to $SYS/ go nowhere`, async (t) => {
    const { broker, hooks, connect, log } = await startBroker(t, { sysInterval: 0 });
    const subscriber = await connect("sub");
    await subscriber.subscribe("$SYS/#", { qos: 2 });
    await subscriber.subscribe("$SYS");
    const will = { topic: "$SYS/will", payload: Buffer.from("will"), qos: 0, retain: false } as const;
    const publisher = await connect("pub", { version, will });
    const refused = version === 5 ? ReasonCode.NotAuthorized : 0;
    publisher.publish("$SYS/broker", { qos: 0, payload: "0" });
    assert.equal(await publisher.publishAcked("$SYS/broker", "1", { retain: true }), refused);
    publisher.publish("$SYS/", { qos: 2, payload: "2" });
    const pubrec = await publisher.next("pubrec");
    assert.equal(pubrec.reasonCode, refused);
    assert.equal(await publisher.publishAcked("$SYS", "fine"), 0);
    await publisher.break();
    await hooks.called("terminated pub");
    assert.deepEqual(await subscriber.nextPayloads(1), ["fine"]);
    assert.deepEqual(await subscriber.ping(), []);
    assert.equal(hooks.published.length, 1);
    const { publishesToReserved, publishesRefused, refusalsAcknowledged, retained } = broker.metrics;
    assert.deepEqual([publishesToReserved, publishesRefused, refusalsAcknowledged, retained], [4, 0, 0, 0]);
    assert.deepEqual(
      log.filter(({ level }) => level === "warn"),
      [],
    );
  });
}

test("MQTT 5: no reason string for a client that wants none, or that takes no packet of that size", async (t) => {
  const { hooks, connect } = await startBroker(t);
  hooks.answer = () => temporaryRefusal;
  const silent = await connect("silent", { properties: { requestProblemInformation: false } });
  silent.publish("t");
  assert.equal((await silent.next("puback")).properties?.reasonString, undefined);
  const small = await connect("small", { properties: { maximumPacketSize: 16 } });
  small.publish("t");
  const puback = await small.next("puback");
  assert.equal(puback.reasonCode, ReasonCode.ImplementationSpecificError);
  assert.equal(puback.properties?.reasonString, undefined);
});

test("MQTT 3.1.1: a temporary refusal answers what came before, in order, and closes", async (t) => {
  const { hooks, connect } = await startBroker(t);
  hooks.answer = () => "later";
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  const publisher = await connect("pub", { version: 4 });
  for (const payload of ["one", "two", "bad", "four"]) publisher.publish("t", { payload });
  await hooks.waiting(4);
  hooks.settle("bad", temporaryRefusal);
  hooks.settle("two");
  hooks.settle("four");
  assert.deepEqual(await publisher.ping(), []);
  hooks.settle("one");
  assert.equal((await publisher.next("puback")).packetId, 1);
  assert.equal((await publisher.next("puback")).packetId, 2);
  await publisher.closed();
  assert.deepEqual(publisher.waiting, []);
  // What was stored behind the refused one is routed all the same.
  assert.deepEqual(await subscriber.nextPayloads(3), ["one", "two", "four"]);
});

test("MQTT 3.1.1: a refusal to be delayed closes after a time that grows, and nothing is read meanwhile", async (t) => {
  const { hooks, connect, log } = await startBroker(t);
  hooks.answer = ({ topic }) => (topic === "bad" ? permanentRefusal : "stored");
  const delays = (): unknown[] => log.filter(({ level }) => level === "warn").map(({ fields }) => fields.delay);
  const refused = async (): Promise<void> => {
    const publisher = await connect("pub", { version: 4 });
    const since = performance.now();
    publisher.publish("bad");
    publisher.publish("unread");
    publisher.send({ type: "pingreq" });
    await publisher.closed();
    assert.ok(performance.now() - since >= 900, "the delay is waited for");
    assert.deepEqual(publisher.waiting, []);
  };
  await refused();
  await refused();
  assert.deepEqual(delays(), [1, 2]);
  assert.equal(hooks.published.filter(({ topic }) => topic === "unread").length, 0);
  const warning = log.find(({ level }) => level === "warn");
  assert.equal(warning?.fields.clientId, "pub");
  assert.equal(warning?.fields.topic, "bad");
  // A publish that is taken starts the delays anew.
  const publisher = await connect("pub", { version: 4 });
  await publisher.publishAcked("good");
  await publisher.disconnect();
  await refused();
  assert.deepEqual(delays(), [1, 2, 1]);
});

test("MQTT 3.1.1: what can never be stored is acknowledged when the plugin says so", async (t) => {
  const { broker, hooks, connect, log } = await startBroker(t);
  hooks.answer = () => ({ ...permanentRefusal, onUnstorable: "acknowledge" });
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  const publisher = await connect("pub", { version: 4 });
  await publisher.publishAcked("t", "one");
  const packetId = publisher.publish("t", { qos: 2, payload: "two" });
  await publisher.next("pubrec");
  publisher.send({ type: "pubrel", packetId, reasonCode: 0 });
  await publisher.next("pubcomp");
  assert.equal(broker.metrics.refusalsAcknowledged, 2);
  assert.equal(log.filter(({ level, fields }) => level === "warn" && fields.topic === "t").length, 2);
  assert.deepEqual(await subscriber.ping(), []);
});

test("a publish whose client is gone is routed when it is stored", async (t) => {
  const { hooks, connect } = await startBroker(t);
  hooks.answer = () => "later";
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  const publisher = await connect("pub");
  publisher.publish("t", { payload: "one" });
  await hooks.waiting(1);
  await publisher.break();
  await hooks.called("disconnected pub");
  hooks.settle("one");
  assert.deepEqual(await subscriber.nextPayloads(1), ["one"]);
});

test("QoS 2: a publish sent again before PUBREL is answered and not taken again, across connections", async (t) => {
  const { hooks, connectPersistent, connect } = await startBroker(t);
  const subscriber = await connect("sub");
  await subscriber.subscribe("t", { qos: 2 });
  const first = await connectPersistent("pub");
  const packetId = first.publish("t", { qos: 2, payload: "one" });
  await first.next("pubrec");
  first.publish("t", { qos: 2, payload: "one", packetId, dup: true });
  await first.next("pubrec");
  await first.break();

  const second = await connectPersistent("pub");
  assert.equal(second.connack?.sessionPresent, true);
  second.publish("t", { qos: 2, payload: "one", packetId, dup: true });
  assert.equal((await second.next("pubrec")).reasonCode, ReasonCode.Success);
  second.send({ type: "pubrel", packetId, reasonCode: 0 });
  assert.equal((await second.next("pubcomp")).reasonCode, ReasonCode.Success);
  assert.equal(hooks.published.length, 1);
  // Released: the same Packet Identifier is a new message.
  second.publish("t", { qos: 2, payload: "two", packetId });
  await second.next("pubrec");
  assert.deepEqual(await subscriber.nextPayloads(2), ["one", "two"]);
  second.send({ type: "pubrel", packetId: 999, reasonCode: 0 });
  assert.equal((await second.next("pubcomp")).reasonCode, ReasonCode.PacketIdentifierNotFound);
});

test("QoS 2: a publish sent again while it is being stored is stored once and answered on the new connection", async (t) => {
  const { hooks, connectPersistent } = await startBroker(t);
  hooks.answer = () => "later";
  for (const result of ["stored", temporaryRefusal] as const) {
    const first = await connectPersistent("pub");
    const packetId = first.publish("t", { qos: 2, payload: "one" });
    await hooks.waiting(1);
    await first.break();
    const second = await connectPersistent("pub");
    second.publish("t", { qos: 2, payload: "one", packetId, dup: true });
    assert.deepEqual(await second.ping(), []);
    hooks.settle("one", result);
    const { reasonCode } = await second.next("pubrec");
    assert.equal(reasonCode, result === "stored" ? ReasonCode.Success : temporaryRefusal.reasonCode);
    assert.equal(hooks.published.splice(0).length, 1);
    if (result === "stored") {
      second.send({ type: "pubrel", packetId, reasonCode: 0 });
      await second.next("pubcomp");
    }
    await second.disconnect();
  }
});

for (const version of [4, 5] as const) {
  test(`MQTT ${version}: a QoS 2 publish repeated without end while it is stored waits once and is answered once`, async (t) => {
    const { broker, hooks, connect } = await startBroker(t, { receiveMaximum: 3 });
    hooks.answer = () => "later";
    const publisher = await connect("pub", { version });
    const repeat = (packetId: number): void => {
      const packet = publisher.publishPacket("t", { qos: 2, payload: String(packetId), packetId });
      publisher.send(packet, ...Array.from({ length: 1000 }, () => ({ ...packet, dup: true })));
    };
    repeat(1);
    assert.deepEqual(await publisher.ping(), []);
    assert.equal(broker.metrics.publishesWaiting, 1);
    hooks.settle("1");
    assert.equal((await publisher.next("pubrec")).packetId, 1);
    // Behind another that is being stored, what is already taken waits once, too.
    publisher.publish("t", { qos: 2, payload: "2", packetId: 2 });
    repeat(1);
    assert.deepEqual(await publisher.ping(), []);
    assert.equal(broker.metrics.publishesWaiting, 2);
    hooks.settle("2");
    assert.deepEqual([(await publisher.next("pubrec")).packetId, (await publisher.next("pubrec")).packetId], [2, 1]);
    assert.deepEqual(await publisher.ping(), []);
    assert.equal(hooks.published.length, 2);
    // Released, the Packet Identifier is for another message.
    publisher.send({ type: "pubrel", packetId: 1, reasonCode: 0 });
    await publisher.next("pubcomp");
    publisher.publish("t", { qos: 2, payload: "another", packetId: 1 });
    await hooks.waiting(1);
    hooks.settle("another");
    assert.equal((await publisher.next("pubrec")).packetId, 1);
  });
}

test("MQTT 5: more unanswered publishes than the Receive Maximum end the connection [MQTT-3.3.4-7]", async (t) => {
  const { hooks, connect } = await startBroker(t, { receiveMaximum: 3 });
  hooks.answer = () => "later";
  const publisher = await connect("pub");
  assert.equal(publisher.connack?.properties?.receiveMaximum, 3);
  for (let count = 0; count < 4; count++) publisher.publish("t", { payload: String(count) });
  assert.equal((await publisher.next("disconnect")).reasonCode, ReasonCode.ReceiveMaximumExceeded);
  await publisher.closed();
  assert.equal(hooks.published.length, 3);
  for (const payload of ["0", "1", "2"]) hooks.settle(payload);
});

test("MQTT 5: a QoS 2 publish counts until PUBCOMP, a refused one until PUBREC", async (t) => {
  const { hooks, connect } = await startBroker(t, { receiveMaximum: 2 });
  hooks.answer = ({ topic }) => (topic === "bad" ? temporaryRefusal : "stored");
  const publisher = await connect("pub");
  for (let count = 0; count < 5; count++) {
    publisher.publish("bad", { qos: 2 });
    await publisher.next("pubrec");
    const packetId = publisher.publish("t", { qos: 2 });
    await publisher.next("pubrec");
    publisher.send({ type: "pubrel", packetId, reasonCode: 0 });
    await publisher.next("pubcomp");
    await publisher.publishAcked("t");
  }
  publisher.publish("t", { qos: 2 });
  await publisher.next("pubrec");
  publisher.publish("t", { qos: 2 });
  await publisher.next("pubrec");
  publisher.publish("t");
  assert.equal((await publisher.next("disconnect")).reasonCode, ReasonCode.ReceiveMaximumExceeded);
});

test("MQTT 3.1.1: the broker stops reading at that number, and reads on when one is answered", async (t) => {
  const { hooks, connect } = await startBroker(t, { receiveMaximum: 3 });
  hooks.answer = () => "later";
  const publisher = await connect("pub", { version: 4 });
  const packets = Array.from({ length: 10 }, (_, at) => publisher.publishPacket("t", { payload: String(at) }));
  publisher.send(...packets);
  await hooks.waiting(3);
  for (let at = 0; at < 10; at++) {
    await hooks.waiting(Math.min(3, 10 - at));
    hooks.settle(String(at));
    await publisher.next("puback");
  }
  assert.equal(hooks.published.length, 10);
});

test("QoS 0 publishes and bytes that wait behind a publish being stored are bounded too", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { receiveMaximum: 5, maxUnansweredBytes: 100 });
  hooks.answer = () => "later";
  const many = await connect("many");
  many.send(many.publishPacket("t", { payload: "first" }));
  many.send(...Array.from({ length: 50 }, () => many.publishPacket("t", { qos: 0, payload: "x" })));
  await waitFor(() => broker.metrics.publishesWaiting === 6, { what: "six publishes to wait" });
  const large = await connect("large");
  large.send(large.publishPacket("t", { payload: "second" }));
  large.send(...Array.from({ length: 50 }, () => large.publishPacket("t", { qos: 0, payload: "x".repeat(60) })));
  await waitFor(() => broker.metrics.publishesWaiting === 9, { what: "three more publishes to wait" });
  hooks.settle("first");
  hooks.settle("second");
  await many.next("puback");
  assert.deepEqual(await many.ping(), []);
  await large.next("puback");
  assert.deepEqual(await large.ping(), []);
  assert.equal(broker.metrics.publishesWaiting, 0);
  assert.deepEqual(broker.metrics.messagesReceived, [100, 2, 0]);
});

test("a hook that throws or rejects refuses the publish, is logged, and harms nothing else", async (t) => {
  const { broker, hooks, connect, log } = await startBroker(t);
  const publisher = await connect("pub");
  hooks.answer = () => {
    throw new Error("broken");
  };
  assert.equal(await publisher.publishAcked("t"), ReasonCode.UnspecifiedError);
  hooks.answer = () => "stored";
  assert.equal(await publisher.publishAcked("t"), ReasonCode.Success);
  hooks.messageRouted = () => {
    throw new Error("broken too");
  };
  assert.equal(await publisher.publishAcked("t"), ReasonCode.Success);
  hooks.messagePublish = () => Promise.reject(new Error("rejected"));
  assert.equal(await publisher.publishAcked("t"), ReasonCode.UnspecifiedError);
  assert.equal(broker.metrics.hookErrors, 3);
  assert.equal(log.filter(({ level }) => level === "error").length, 3);
});
