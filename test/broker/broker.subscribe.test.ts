// Subscribing: hooks, retained messages, overlapping and shared subscriptions, limits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { startBroker } from "./broker-fixture.ts";
import { type RawClient, text } from "./raw-client.ts";

test("the hooks hear of each filter before SUBACK, and of UNSUBSCRIBE", async (t) => {
  const { hooks, connect } = await startBroker(t);
  const client = await connect("c");
  client.sendSubscribe([{ topicFilter: "a" }, { topicFilter: "b/#", qos: 2 }, { topicFilter: "c/+/d", qos: 0 }], 9);
  assert.deepEqual((await client.next("suback")).reasonCodes, [1, 2, 0]);
  await client.subscribe("a", { qos: 0 });
  assert.deepEqual(
    hooks.subscribed.map(({ subscription, event }) => [subscription.topicFilter, subscription.qos, event.isNew]),
    [
      ["a", 1, true],
      ["b/#", 2, true],
      ["c/+/d", 0, true],
      ["a", 0, false],
    ],
  );
  assert.equal(hooks.subscribed[0]?.subscription.subscriptionIdentifier, 9);
  assert.equal(hooks.subscribed[0]?.event.restored, false);
  assert.equal(await client.unsubscribe("a"), ReasonCode.Success);
  assert.equal(await client.unsubscribe("a"), ReasonCode.NoSubscriptionExisted);
  // The second one too: a stored subscription may be about to be restored.
  assert.deepEqual(hooks.calls.slice(-2), ["unsubscribed c a", "unsubscribed c a"]);
  client.publish("a", { qos: 0 });
  assert.deepEqual(await client.ping(), []);
});

test("filters that are refused, by both protocols' codes", async (t) => {
  const { hooks, connect } = await startBroker(t, { maxTopicLevels: 3, maxSubscriptions: 2 });
  const refused = ["#/a", "a+", "+a", "$share//t", "$share/g", "a/b/c/d", ""];
  const client = await connect("c");
  client.sendSubscribe(refused.map((topicFilter) => ({ topicFilter })));
  assert.deepEqual(
    (await client.next("suback")).reasonCodes,
    refused.map(() => ReasonCode.TopicFilterInvalid),
  );
  const old = await connect("old", { version: 4 });
  assert.equal(await old.subscribe("#/a"), 0x80);
  assert.equal(await client.subscribe("1"), 1);
  assert.equal(await client.subscribe("2"), 1);
  assert.equal(await client.subscribe("3"), ReasonCode.QuotaExceeded);
  assert.equal(await client.subscribe("2"), 1);
  assert.equal(hooks.subscribed.length, 3);
});

test("the filters of one SUBSCRIBE are bounded; those beyond are refused", async (t) => {
  const { hooks, connect } = await startBroker(t, { maxSubscribeFilters: 2 });
  for (const [version, refused] of [
    [4, 0x80],
    [5, ReasonCode.QuotaExceeded],
  ] as const) {
    const client = await connect(`v${version}`, { version });
    client.sendSubscribe(["a", "b", "c", "a"].map((topicFilter) => ({ topicFilter })));
    assert.deepEqual((await client.next("suback")).reasonCodes, [1, 1, refused, refused]);
    assert.equal(await client.subscribe("c"), 1);
  }
  assert.equal(hooks.subscribed.length, 6);
});

test("an UNSUBSCRIBE with more filters than a SUBSCRIBE may have ends the connection", async (t) => {
  const { connect } = await startBroker(t, { maxSubscribeFilters: 2 });
  const client = await connect("c");
  client.send({ type: "unsubscribe", packetId: 1, topicFilters: ["a", "b"] });
  await client.next("unsuback");
  client.send({ type: "unsubscribe", packetId: 2, topicFilters: ["a", "b", "c"] });
  assert.equal((await client.next("disconnect")).reasonCode, ReasonCode.QuotaExceeded);
  await client.closed();
});

test("the levels of the tree of topics count as bytes of the retained messages", async (t) => {
  const { broker, connect } = await startBroker(t, { maxRetainedBytes: 10_000 });
  const publisher = await connect("pub");
  const deep = Array.from({ length: 100 }, () => "a").join("/");
  await publisher.publishAcked(deep, "x", { retain: true });
  assert.deepEqual([broker.metrics.retained, broker.metrics.retainedRefused], [0, 1]);
  for (const topic of ["a/b/c", "a/b/d", "a"]) await publisher.publishAcked(topic, "x", { retain: true });
  assert.equal(broker.metrics.retainedBytes, 4 * 250 + 6 + 6 + 2);
  for (const topic of ["a", "a/b/c", "a/b/d"]) await publisher.publishAcked(topic, "", { retain: true });
  assert.equal(broker.metrics.retainedBytes, 0);
});

test("retained messages by Retain Handling, with RETAIN 1, their first id, and at the subscription's QoS", async (t) => {
  const { hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  await publisher.publishAcked("r/1", "old", { retain: true });
  await publisher.publishAcked("r/1", "one", { retain: true });
  await publisher.publishAcked("r/2", "gone", { retain: true });
  await publisher.publishAcked("r/2", "", { retain: true });
  await publisher.publishAcked("$r/1", "dollar", { retain: true });
  publisher.publish("r/3/deep", { payload: "zero", qos: 0, retain: true });
  const client = await connect("c");
  const retained = async (topicFilter: string, options = {}): Promise<string[]> => {
    await client.subscribe(topicFilter, options);
    const packets = (await client.ping()).map((packet) => packet as Awaited<ReturnType<RawClient["next"]>>);
    return packets.map((packet) => {
      assert.ok(packet.type === "publish" && packet.retain);
      if (packet.qos > 0) client.puback(packet.packetId);
      return `${text(packet)} ${packet.qos}`;
    });
  };
  assert.deepEqual(await retained("#"), ["one 1", "zero 0"]);
  assert.deepEqual(await retained("#", { retainHandling: 1 }), []);
  assert.deepEqual(await retained("#", { qos: 0 }), ["one 0", "zero 0"]);
  assert.deepEqual(await retained("r/+", { retainHandling: 1 }), ["one 1"]);
  assert.deepEqual(await retained("r/#", { retainHandling: 2 }), []);
  assert.deepEqual(await retained("r/1/#"), ["one 1"]);
  assert.deepEqual(await retained("+/+/deep"), ["zero 0"]);
  assert.deepEqual(await retained("$r/#"), ["dollar 1"]);
  assert.deepEqual(await retained("$share/g/#"), []);
  assert.ok(hooks.calls.includes("delivered c one qos1 retained"));
  const delivered = hooks.calls.indexOf("delivered c one qos1 retained");
  assert.equal(hooks.calls[delivered - 1], "subscribed c #");
  await publisher.publishAcked("r/1", "live", { retain: true });
  assert.equal((await client.next("publish")).retain, false);
});

for (const qos of [0, 1] as const) {
  test(`more retained messages than queue and write buffer hold reach a client that reads, at QoS ${qos}`, async (t) => {
    const { connect } = await startBroker(t, { maxMqueueLen: 5, maxWriteBuffer: 1024, withoutHooks: true });
    const publisher = await connect("pub");
    const payload = "x".repeat(100);
    const total = 500;
    for (let at = 0; at < total; at++) await publisher.publishAcked(`t/${at}`, payload, { retain: true });
    const client = await connect("c");
    await client.subscribe("t/#", { qos });
    for (let at = 0; at < total; at++) {
      const packet = await client.next("publish");
      assert.equal(packet.topic, `t/${at}`);
      if (packet.qos > 0) client.puback(packet.packetId);
    }
    assert.deepEqual(await client.ping(), []);
  });
}

test("retained messages are bounded and expire", async (t) => {
  const { broker, connect } = await startBroker(t, { maxRetainedMessages: 2 });
  const publisher = await connect("pub");
  await publisher.publishAcked("1", "1", { retain: true });
  await publisher.publishAcked("2", "2", { retain: true, properties: { messageExpiryInterval: 0 } });
  await publisher.publishAcked("3", "3", { retain: true });
  await publisher.publishAcked("4", "4", { retain: true });
  assert.equal(broker.metrics.retainedRefused, 1);
  await publisher.publishAcked("1", "1 again", { retain: true });
  const client = await connect("c");
  await client.subscribe("+");
  assert.deepEqual(await client.nextPayloads(2), ["3", "1 again"]);
  assert.deepEqual(await client.ping(), []);
  assert.equal(broker.metrics.retained, 2);
});

test("retained messages are bounded in bytes: what has no room is not kept, and told once", async (t) => {
  const { broker, connect, log } = await startBroker(t, { maxRetainedBytes: 1500 });
  const publisher = await connect("pub");
  // Each topic has one level, which counts 250.
  const retain = (topic: string, size: number) => publisher.publishAcked(topic, "x".repeat(size), { retain: true });
  await retain("a", 499);
  await retain("b", 499);
  await retain("c", 1);
  await retain("a", 500);
  assert.deepEqual(
    [broker.metrics.retained, broker.metrics.retainedBytes, broker.metrics.retainedRefused],
    [1, 750, 2],
  );
  await retain("b", 100);
  await retain("b", 200);
  await retain("c", 100);
  await publisher.publishAcked("b", "", { retain: true });
  assert.deepEqual([broker.metrics.retained, broker.metrics.retainedBytes], [1, 351]);
  const client = await connect("c");
  await client.subscribe("+");
  assert.equal((await client.next("publish")).topic, "c");
  assert.deepEqual(await client.ping(), []);
  const warnings = log.filter(({ level }) => level === "warn");
  assert.deepEqual(
    warnings.map(({ fields }) => fields),
    [{ clientId: "pub", topic: "c", count: 1 }],
  );
});

test("overlapping subscriptions: one copy, the highest QoS, all identifiers, Retain As Published", async (t) => {
  const { connect } = await startBroker(t);
  const publisher = await connect("pub");
  const client = await connect("c");
  await client.subscribe("a/b", { qos: 0 }, 1);
  await client.subscribe("a/+", { qos: 2, retainAsPublished: true }, 2);
  await client.subscribe("#", { qos: 1 });
  publisher.publish("a/b", { qos: 2, retain: true });
  const packet = await client.next("publish");
  assert.deepEqual([packet.qos, packet.retain], [2, true]);
  assert.deepEqual([...(packet.properties?.subscriptionIdentifiers ?? [])].sort(), [1, 2]);
  assert.deepEqual(await client.ping(), []);
});

test("No Local: not live, not retained; refused on shared subscriptions", async (t) => {
  const { connect } = await startBroker(t);
  const other = await connect("other");
  const client = await connect("c");
  await client.publishAcked("t", "mine", { retain: true });
  await client.subscribe("t", { noLocal: true });
  assert.equal(await client.publishAcked("t", "mine"), 0);
  await other.publishAcked("t", "others");
  assert.deepEqual(await client.nextPayloads(1), ["others"]);
  assert.deepEqual(await client.ping(), []);
  client.sendSubscribe([{ topicFilter: "$share/g/t", noLocal: true }]);
  assert.equal((await client.next("disconnect")).reasonCode, ReasonCode.ProtocolError);
});

test("a shared subscription gives each message to one member, in turns; members with room come first", async (t) => {
  const { connect } = await startBroker(t);
  const publisher = await connect("pub");
  const members = [await connect("1"), await connect("2"), await connect("3", { properties: { receiveMaximum: 1 } })];
  for (const member of members) await member.subscribe("$share/g/t/#");
  const alone = await connect("4");
  await alone.subscribe("$share/h/t/#");
  await alone.subscribe("t/#");
  for (let at = 0; at < 7; at++) await publisher.publishAcked("t/x", String(at));
  const received: string[][] = [];
  for (const member of members) {
    const packets = await member.ping();
    received.push(packets.map((packet) => (packet.type === "publish" ? text(packet) : packet.type)));
  }
  assert.deepEqual(received, [["0", "3", "5"], ["1", "4", "6"], ["2"]]);
  assert.equal((await alone.ping()).length, 14);
});

test("what a member of a shared subscription leaves unacknowledged goes to another", async (t) => {
  const { hooks, connect } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  const leaving = await connect("leaving");
  await leaving.subscribe("$share/g/t", { qos: 2 });
  await publisher.publishAcked("t", "sent with QoS 1");
  await publisher.publishAcked("t", "waiting");
  await leaving.nextPayloads(1);
  const staying = await connect("staying");
  await staying.subscribe("$share/g/t");
  await leaving.break();
  assert.deepEqual(await staying.nextPayloads(1), ["sent with QoS 1"]);
  staying.puback(1);
  assert.deepEqual(await staying.nextPayloads(1), ["waiting"]);
  const order = hooks.calls.slice(hooks.calls.indexOf("disconnected leaving"));
  assert.deepEqual(order.slice(0, 3), [
    "disconnected leaving",
    "terminated leaving",
    "delivered staying sent with QoS 1 qos1",
  ]);

  // QoS 2 in flight is for nobody else [MQTT-4.8.2-5].
  const third = await connect("third");
  await third.subscribe("$share/h/u", { qos: 2 });
  publisher.publish("u", { qos: 2, payload: "sent with QoS 2" });
  await third.nextPayloads(1);
  await staying.subscribe("$share/h/u", { qos: 2 });
  await third.break();
  await hooks.called("terminated third");
  assert.deepEqual(await staying.ping(), []);
});

test("a shared subscription serves a member that is away only if nobody else is there", async (t) => {
  const { hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  const away = await connectPersistent("away");
  await away.subscribe("$share/g/t");
  hooks.answer = () => "pass";
  await publisher.publishAcked("t", "1");
  await publisher.publishAcked("t", "2");
  const member = await connect("member", { properties: { receiveMaximum: 10 } });
  await member.subscribe("$share/g/t");
  await away.break();
  // What was sent stays with the session that it was sent to; what only waited goes on at once.
  await hooks.called("delivered member 2 qos1");
  await publisher.publishAcked("t", "3");
  assert.deepEqual(await member.nextPayloads(1), ["2"]);
  member.puback(1);
  assert.deepEqual(await member.nextPayloads(1), ["3"]);
  member.puback(2);
  await member.disconnect();
  await hooks.called("terminated member");
  await publisher.publishAcked("t", "4");
  const back = await connectPersistent("away");
  const first = await back.next("publish");
  assert.deepEqual([text(first), first.dup], ["1", true]);
  back.puback(first.packetId);
  assert.deepEqual(await back.nextPayloads(1), ["4"]);
});

test("a stored message does not wait for a member of a shared subscription that is away", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  const away = await connectPersistent("away");
  await away.subscribe("$share/g/t");
  for (const payload of ["1", "2", "3"]) await publisher.publishAcked("t", payload);
  broker.host.beginCatchUp({ topicFilter: "$share/g/t" }, true);
  broker.host.deliver("away", "$share/g/t", hooks.message("2"));
  hooks.answer = () => "pass";
  await publisher.publishAcked("t", "passed");
  await away.nextPayloads(1);
  // What was queued, held or delivered and not sent is left to the store, as is what comes meanwhile.
  await away.break();
  await hooks.called("disconnected away");
  hooks.answer = () => "stored";
  await publisher.publishAcked("t", "4");
  const back = await connectPersistent("away");
  const pending = hooks.connected.at(-1)?.pending.map(({ payload }) => Buffer.from(payload).toString());
  assert.deepEqual(pending, ["1", "passed"]);
  const again = await back.next("publish");
  assert.deepEqual([text(again), again.dup], ["1", true]);
  back.puback(again.packetId);
  const passed = await back.next("publish");
  assert.equal(text(passed), "passed");
  back.puback(passed.packetId);
  assert.deepEqual(await back.ping(), []);
});

test("a shared subscription catches up as a whole", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxInflight: 1 });
  const target = { topicFilter: "$share/g/t" };
  const publisher = await connect("pub");
  const first = await connect("first");
  await first.subscribe("$share/g/t");
  for (const payload of ["1", "2", "3"]) await publisher.publishAcked("t", payload);
  await first.nextPayloads(1);
  broker.host.beginCatchUp(target, true);
  await publisher.publishAcked("t", "4");
  assert.ok(hooks.calls.includes("routed 4 missed group $share/g/t"));
  const second = await connect("second");
  await second.subscribe("$share/g/t");
  // 2 was held for the first member and goes to it; 3 is delivered to the second.
  assert.equal(broker.host.deliver("second", "$share/g/t", hooks.message("3")), "taken");
  assert.deepEqual(await second.nextPayloads(1), ["3"]);
  // The first goes: what is stored is left to the plugin while it catches up.
  await first.break();
  await hooks.called("terminated first");
  second.puback(1);
  assert.deepEqual(await second.ping(), []);
  broker.host.goLive(target);
  await publisher.publishAcked("t", "5");
  assert.deepEqual(await second.nextPayloads(1), ["5"]);
  second.puback(2);
  await second.break();
  await hooks.called("terminated second");
  assert.equal(broker.host.deliver("second", "$share/g/t", hooks.message("3")), "gone");
  assert.equal(broker.metrics.subscriptions, 0);
});

test("unsubscribing during a catch-up: what is stored is dropped and told, other messages go out", async (t) => {
  const { broker, hooks, connect } = await startBroker(t, { maxInflight: 1 });
  const publisher = await connect("pub");
  const client = await connect("c");
  await client.subscribe("t");
  for (const payload of ["1", "2"]) await publisher.publishAcked("t", payload);
  hooks.answer = () => "pass";
  await publisher.publishAcked("t", "passed");
  broker.host.beginCatchUp({ clientId: "c", topicFilter: "t" }, true);
  await client.nextPayloads(1);
  await client.unsubscribe("t");
  assert.deepEqual(hooks.calls.slice(-2), ["unsubscribed c t", "dropped c t 2 unsubscribed"]);
  client.puback(1);
  assert.deepEqual(await client.nextPayloads(1), ["passed"]);
  await publisher.publishAcked("t", "3");
  client.puback(2);
  assert.deepEqual(await client.ping(), []);
});

for (const isHeirCatchingUp of [false, true]) {
  const how = isHeirCatchingUp ? "catches up" : "is live";
  test(`unsubscribing during a catch-up keeps what is due to another subscription, which ${how}`, async (t) => {
    const { broker, hooks, connect } = await startBroker(t, { maxInflight: 1 });
    const publisher = await connect("pub");
    const client = await connect("c");
    await client.subscribe("t/1");
    for (const payload of ["1", "2", "4"]) await publisher.publishAcked("t/1", payload);
    await publisher.publishAcked("t/2", "3");
    const first = await client.next("publish");
    await client.subscribe("other/#");
    await client.subscribe("t/#");
    broker.host.beginCatchUp({ clientId: "c", topicFilter: "t/1" }, true);
    if (isHeirCatchingUp) broker.host.beginCatchUp({ clientId: "c", topicFilter: "t/#" }, true);
    await client.unsubscribe("t/1");
    broker.host.deliver("c", "t/#", hooks.message("3"));
    broker.host.goLive({ clientId: "c", topicFilter: "t/#" });
    client.puback(first.packetId);
    const received = [text(first)];
    while (received.length < 4) {
      const packet = await client.next("publish");
      received.push(text(packet));
      client.puback(packet.packetId);
    }
    assert.deepEqual(received, ["1", "2", "4", "3"]);
    assert.deepEqual(await client.ping(), []);
    assert.ok(!hooks.calls.some((call) => call.startsWith("dropped")));
  });
}

test("topic aliases, in both directions", async (t) => {
  const { connect } = await startBroker(t, { maxTopicAlias: 2 });
  const client = await connect("c", { properties: { topicAliasMaximum: 1 } });
  assert.equal(client.connack?.properties?.topicAliasMaximum, 2);
  await client.subscribe("#", { qos: 0 });
  client.publish("long/topic", { qos: 0, properties: { topicAlias: 2 } });
  client.publish("", { qos: 0, properties: { topicAlias: 2 } });
  client.publish("other", { qos: 0 });
  const packets = [await client.next("publish"), await client.next("publish"), await client.next("publish")];
  assert.deepEqual(
    packets.map(({ topic }) => topic),
    ["long/topic", "", "other"],
  );
  assert.deepEqual(
    packets.map(({ properties }) => properties?.topicAlias),
    [1, 1, undefined],
  );
  client.publish("t", { qos: 0, properties: { topicAlias: 3 } });
  assert.equal((await client.next("disconnect")).reasonCode, ReasonCode.TopicAliasInvalid);
  const unknown = await connect("unknown");
  unknown.publish("", { qos: 0, properties: { topicAlias: 1 } });
  assert.equal((await unknown.next("disconnect")).reasonCode, ReasonCode.ProtocolError);
});

test("topic aliases are bounded in bytes, in both directions", async (t) => {
  const { connect } = await startBroker(t, { maxTopicAliasBytes: 10 });
  const client = await connect("c", { properties: { topicAliasMaximum: 10 } });
  await client.subscribe("#", { qos: 0 });
  const publish = (topic: string, topicAlias: number): void => {
    client.publish(topic, { qos: 0, properties: { topicAlias } });
  };
  for (const topic of ["12345", "1234567890", "1234"]) publish(topic, 1);
  publish("ääb", 2);
  publish("ääb", 2);
  const packets = [];
  for (let count = 0; count < 5; count++) packets.push(await client.next("publish"));
  assert.deepEqual(
    packets.map(({ topic, properties }) => [topic, properties?.topicAlias]),
    [
      ["12345", 1],
      ["1234567890", undefined],
      ["1234", 2],
      ["ääb", undefined],
      ["ääb", undefined],
    ],
  );
  publish("12", 3);
  assert.equal((await client.next("disconnect")).reasonCode, ReasonCode.QuotaExceeded);
});

test("properties travel with the message, in their order", async (t) => {
  const { hooks, connect } = await startBroker(t);
  const client = await connect("c");
  await client.subscribe("#");
  const properties = {
    payloadFormatIndicator: 1,
    contentType: "text/plain",
    responseTopic: "answer",
    correlationData: Buffer.from("id"),
    userProperties: [
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
    ],
  } as const;
  client.publish("t", { payload: "x", properties: { ...properties, messageExpiryInterval: 60 } });
  const packet = await client.next("publish");
  assert.deepEqual(packet.properties, { ...properties, messageExpiryInterval: 60 });
  assert.deepEqual(hooks.message("x").properties, properties);
  const old = await connect("old", { version: 4 });
  await old.subscribe("u");
  await old.publishAcked("v", "");
  client.publish("u", { properties });
  assert.equal((await old.next("publish")).properties, undefined);
});
