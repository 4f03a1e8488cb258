// Sessions through the link: catching up and going live, what is lost, resumed, restored, taken over, on one node and two.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeOpcode } from "../../src/emqx/node-frames.ts";
import { turn } from "../plugin/plugin-fixture.ts";
import { waitFor } from "../support/wait-for.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => String(from + at));

test("a backlog, what is published meanwhile and what comes after: in order, each once", async (t) => {
  const { node, store, settle } = await startLinkedPlugin(t, { limits: { pageMessages: 7 } });
  for (const payload of numbers(1, 30)) await node.publish("t", payload);
  const client = node.connect("c", { receiveMaximum: 3 });
  node.subscribe("c", "#");
  const publishes = numbers(31, 90).map(async (payload, at) => {
    for (let wait = 0; wait < at; wait += 1) await turn();
    return node.publish("t", payload);
  });
  while (client.received.length < 90 || client.inFlight.size > 0) {
    node.ack("c", 2);
    await node.roundTrip();
  }
  await Promise.all(publishes);
  await settle();
  assert.deepEqual(client.payloads, numbers(1, 90));
  assert.equal(node.isCatchingUp("c", "#"), false);
  node.openGates();
  await node.publish("t", "91");
  assert.equal(client.payloads.at(-1), "91");
  node.ack("c");
  await settle();
  assert.deepEqual(store.messages, []);
});

test("a gate that has forgotten live messages says so, and they come from the store", async (t) => {
  const held: (() => void)[] = [];
  let isHolding = false;
  const later = (key: string, run: () => void): void => {
    if (isHolding && key.startsWith("link")) held.push(run);
    else run();
  };
  const { node, store, emqx, settle } = await startLinkedPlugin(t, { node: { later, connections: 1 } });
  isHolding = true;
  const client = node.connect("c", { receiveMaximum: 200 });
  node.subscribe("c", "#");
  // The engine has sent LIVE, and the node has not handled it: the gate keeps 64 of these.
  await waitFor(() => held.length > 0, { what: "LIVE" });
  for (const payload of numbers(1, 100)) await node.publish("t", payload);
  assert.equal(emqx.outstanding.size, 100);
  isHolding = false;
  for (const run of held.splice(0)) run();
  await settle();
  assert.deepEqual(
    [...client.payloads].sort((left, right) => Number(left) - Number(right)),
    numbers(1, 100),
  );
  node.ack("c", 200);
  await settle();
  assert.deepEqual(store.messages, []);
  assert.equal(emqx.outstanding.size, 0);
});

test("what a full queue drops comes from the store", async (t) => {
  const { node, store, plugin, settle } = await startLinkedPlugin(t);
  const client = node.connect("c", { receiveMaximum: 2, queueLimit: 3 });
  node.subscribe("c", "t");
  await settle();
  for (const payload of numbers(1, 20)) await node.publish("t", payload);
  for (let round = 0; round < 30; round += 1) {
    node.ack("c", 2);
    await settle();
  }
  assert.deepEqual(
    [...client.payloads].sort((left, right) => Number(left) - Number(right)),
    numbers(1, 20),
  );
  assert.deepEqual(store.messages, []);
  assert.equal(plugin.memory.claims, 0);
});

test("a resumed session gets what it had in flight and queued again, and the rest from the store, each once", async (t) => {
  const { node, store, settle } = await startLinkedPlugin(t);
  const persistent = { cleanStart: false, endsWithConnection: false, receiveMaximum: 2 };
  node.connect("c", persistent);
  node.subscribe("c", "t");
  await settle();
  for (const payload of numbers(1, 5)) await node.publish("t", payload);
  node.disconnect("c");
  for (const payload of numbers(6, 8)) await node.publish("t", payload);
  const client = node.connect("c", persistent);
  for (let round = 0; round < 8; round += 1) {
    await settle();
    node.ack("c", 2);
  }
  await settle();
  assert.deepEqual(client.payloads, numbers(1, 8));
  assert.deepEqual(store.messages, []);
});

test("messages for a session that has gone are told as long as the engine counts them as pushed", async (t) => {
  const held: (() => void)[] = [];
  const later = (key: string, run: () => void): void => {
    if (key === "publisher") held.push(run);
    else run();
  };
  const { node, emqx, settle } = await startLinkedPlugin(t, { node: { later } });
  const persistent = { cleanStart: false, endsWithConnection: false };
  const client = node.connect("c", persistent);
  node.subscribe("c", "t");
  await settle();
  // Answered while the client is connected, dispatched when it has gone.
  const publish = node.publish("t", "1");
  await waitFor(() => held.length === 1, { what: "the answer" });
  assert.equal(emqx.outstanding.of("c").length, 1);
  node.disconnect("c");
  await waitFor(() => Number.isFinite(client.released), { what: "RELEASE" });
  held.shift()?.();
  await publish;
  for (const run of held.splice(0)) run();
  await settle();
  assert.equal(emqx.outstanding.size, 0);
  node.connect("c", persistent);
  await settle();
  assert.deepEqual(client.payloads, ["1"]);
});

test("stored subscriptions come back, and are told apart from the client's own", async (t) => {
  const { node, settle } = await startLinkedPlugin(t);
  node.connect("c");
  node.subscribe("c", "a/#", { qos: 2, noLocal: true });
  node.subscribe("c", "$share/g/b", { subscriptionIdentifier: 7 });
  await settle();
  node.disconnect("c");
  await node.publish("a/1", "1", { from: "other" });
  await node.publish("a/1", "own", { from: "c" });
  await node.publish("b", "2");
  const client = node.connect("c");
  await settle();
  assert.deepEqual([...client.subscriptions.keys()].sort(), ["$share/g/b", "a/#"]);
  assert.deepEqual([...client.payloads].sort(), ["1", "2"]);
  node.unsubscribe("c", "a/#");
  await settle();
  node.disconnect("c");
  node.connect("c");
  await settle();
  assert.deepEqual([...node.client("c").subscriptions.keys()], ["$share/g/b"]);
});

test("a retained message that is on its way is not sent a second time", async (t) => {
  const { node, store, settle } = await startLinkedPlugin(t);
  await node.publish("t", "kept", { retain: true });
  await node.publish("t", "plain");
  const client = node.connect("c");
  node.subscribe("c", "t");
  await settle();
  assert.deepEqual(
    client.received.map(({ payload, retained }) => [payload, retained]),
    [
      ["kept", true],
      ["plain", false],
    ],
  );
  node.ack("c", 2);
  await settle();
  assert.deepEqual(store.messages, []);
  const without = node.connect("without");
  await node.publish("u", "kept", { retain: true });
  node.subscribe("without", "u", { retainHandling: 2 });
  await settle();
  assert.deepEqual(
    without.received.map(({ payload, retained }) => [payload, retained]),
    [["kept", false]],
  );
});

test("a message above the client's Maximum Packet Size is passed over and stays", async (t) => {
  const { node, store, plugin, settle } = await startLinkedPlugin(t);
  const properties = { userProperties: [["name", "x".repeat(200)]] } as const;
  await node.publish("t", "with properties", { properties });
  await node.publish("t", "y".repeat(300));
  await node.publish("t", "small");
  const client = node.connect("c", { maximumPacketSize: 100 });
  node.subscribe("c", "t");
  await settle();
  assert.deepEqual(client.payloads, ["small"]);
  assert.equal(plugin.counters.passedOverTooLarge, 2);
  // MQTT 3.1.1 has no properties.
  const old = node.connect("old", { maximumPacketSize: 100, protocolVersion: 4 });
  node.subscribe("old", "t");
  await settle();
  assert.deepEqual(old.payloads, ["with properties"]);
  assert.equal(store.messages.length, 3);
});

test("a live message above the client's Maximum Packet Size stays for others", async (t) => {
  const { node, plugin, emqx, settle } = await startLinkedPlugin(t);
  node.connect("small", { maximumPacketSize: 100 });
  node.subscribe("small", "t");
  await settle();
  assert.deepEqual(await node.publish("t", "y".repeat(300)), { result: "stored" });
  assert.equal(emqx.outstanding.size, 0);
  assert.equal(plugin.memory.claims, 0);
  const other = node.connect("other");
  node.subscribe("other", "t");
  await settle();
  assert.equal(other.payloads.length, 1);
});

test("properties and what is left of the expiry arrive as they were sent", async (t) => {
  const { node, settle } = await startLinkedPlugin(t);
  const properties = {
    payloadFormatIndicator: 1,
    contentType: "text/plain",
    responseTopic: "answer",
    correlationData: Buffer.from([0, 255]),
    userProperties: [
      ["b", "2"],
      ["a", "1"],
    ],
  } as const;
  const timestamp = Date.now() - 60_000;
  await node.publish("t", "1", { properties, qos: 2, timestamp, expiresAt: timestamp + 100_000 });
  const client = node.connect("c");
  node.subscribe("c", "t", { qos: 2 });
  await settle();
  const [received] = client.received;
  assert.deepEqual(received?.message.properties, properties);
  assert.equal(received?.qos, 2);
  const left = ((received?.message.expiresAt ?? 0) - timestamp) / 1000;
  assert.ok(left > 20 && left <= 40, `${left} s are left of 40`);
});

test("a client that moves to another node keeps what is its own, and a late word of the old process counts", async (t) => {
  const { node, startNode, store, emqx, settle } = await startLinkedPlugin(t);
  const second = await startNode({ nodeName: "second" });
  const persistent = { cleanStart: false, endsWithConnection: false };
  const old = node.connect("c", persistent);
  node.subscribe("c", "t");
  await settle(second);
  await node.publish("t", "1");
  await node.publish("t", "2");
  assert.deepEqual(old.payloads, ["1", "2"]);
  const [first] = node.published;
  assert.ok(first);
  // The other node has the session, with its subscription and what is in flight.
  second.connect("c", { endsWithConnection: false });
  const moved = second.client("c");
  await settle(second);
  assert.equal(emqx.sessions.size, 1);
  node.sendRaw("c", { opcode: NodeOpcode.Disconnected, session: old.session, livesOn: true });
  node.sendRaw("c", { opcode: NodeOpcode.Acked, session: old.session, id: first.id, topic: "t" });
  node.sendRaw("c", { opcode: NodeOpcode.Ended, session: old.session });
  await settle(second);
  assert.equal(store.messages.length, 1, "the acknowledgement of the old process counts");
  assert.equal(emqx.sessions.connected("c")?.number, moved.session, "its end does not");
});

test("of two processes of one client id the one that connected later counts", async (t) => {
  const { node, startNode, emqx, settle } = await startLinkedPlugin(t);
  const second = await startNode({ nodeName: "second" });
  const later = node.connect("c");
  await settle(second);
  // Told late by the other node.
  second.sendRaw("c", {
    opcode: NodeOpcode.Connected,
    session: 4711,
    resumed: false,
    clientIdAssigned: false,
    outlives: false,
    toldAgain: false,
    away: false,
    protocolVersion: 5,
    receiveMaximum: 10,
    maximumPacketSize: 0,
    connectedAt: later.connectedAt - 1,
    clientId: "c",
    subscriptions: [],
    unacknowledged: [],
  });
  await settle(second);
  assert.equal(emqx.sessions.connected("c")?.number, later.session);
  assert.equal(emqx.sessions.connected("c")?.link.nodeName, "emqx@127.0.0.1");
  const latest = second.connect("c");
  await settle(second);
  assert.equal(emqx.sessions.connected("c")?.number, latest.session);
  assert.equal(emqx.sessions.connected("c")?.link.nodeName, "second");
});

test("a link that breaks: its clients are away, and all is told again", async (t) => {
  const { node, plugin, emqx, store, settle } = await startLinkedPlugin(t);
  node.connect("c", { receiveMaximum: 2 });
  node.subscribe("c", "t");
  await settle();
  for (const payload of numbers(1, 4)) await node.publish("t", payload);
  assert.equal(plugin.memory.claims, 4);
  await node.roundTrip();
  node.breakLink();
  await waitFor(() => emqx.links.size === 0, { what: "the end of the link" });
  assert.equal(plugin.memory.claims, 0);
  assert.equal(emqx.outstanding.size, 0);
  assert.deepEqual(await node.publish("t", "refused"), { result: "unreachable" });
  const { payloads } = node.client("c");
  assert.deepEqual(payloads, ["1", "2"]);
  node.ack("c");
  await node.openLink();
  await settle();
  while (node.client("c").inFlight.size > 0) {
    node.ack("c", 2);
    await settle();
  }
  await settle();
  assert.deepEqual(node.client("c").payloads.slice(0, 4), ["1", "2", "3", "4"]);
  assert.ok(node.client("c").payloads.includes("1", 2), "the acknowledgement without a link is lost: it comes again");
  assert.deepEqual(store.messages, []);
});

test("what is subscribed and unsubscribed without a link counts once it is back", async (t) => {
  const { node, emqx, settle } = await startLinkedPlugin(t);
  node.connect("c");
  node.subscribe("c", "given up");
  node.subscribe("c", "kept");
  await settle();
  node.breakLink();
  await waitFor(() => emqx.links.size === 0, { what: "the end of the link" });
  node.unsubscribe("c", "given up");
  node.subscribe("c", "new");
  await node.openLink();
  await settle();
  assert.deepEqual([...node.client("c").subscriptions.keys()].sort(), ["kept", "new"]);
  node.disconnect("c");
  node.connect("c");
  await settle();
  assert.deepEqual([...node.client("c").subscriptions.keys()].sort(), ["kept", "new"]);
});

test("a message whose answer came too late, or was lost with the link, is nobody's", async (t) => {
  const { node, startNode, emqx, settle } = await startLinkedPlugin(t);
  const second = await startNode({ nodeName: "second" });
  const here = node.connect("here");
  const there = second.connect("there");
  node.subscribe("here", "t");
  second.subscribe("there", "u");
  await settle(second);
  const message = { from: "p", qos: 1, retain: false, payload: Buffer.from("late"), timestamp: Date.now() } as const;
  const late = await node.publishUnrouted({ ...message, id: "0005F5E1A3B2C4D5F44D000012AB0001", topic: "t" });
  assert.equal(late.result, "stored");
  await settle(second);
  assert.deepEqual(here.payloads, ["late"], "from the store");
  // The node is gone before it has confirmed the answer: a client of the other node counts as pushed.
  let isAnswered = false;
  void node.publish("u", "lost").then(() => {
    isAnswered = true;
  });
  await waitFor(() => emqx.outstanding.of("there").length === 1, { what: "the push", interval: 0 });
  node.breakLink();
  await settleSecond(second);
  assert.equal(isAnswered, true);
  await waitFor(() => there.payloads.length === 1, { what: "the message from the store" });
  assert.deepEqual(there.payloads, ["lost"]);
});

async function settleSecond(node: { roundTrip(): Promise<void> }): Promise<void> {
  for (let time = 0; time < 3; time += 1) await node.roundTrip();
}

test("refusals tell their code, their kind and how long to wait", async (t) => {
  const { node, settle } = await startLinkedPlugin(t, { maxMessages: 1 });
  node.connect("new", { protocolVersion: 5 });
  await settle();
  assert.deepEqual(await node.publish("t", "1", { from: "old" }), { result: "stored" });
  const refusal = { request: 0, result: "refused", temporary: true, acknowledge: false, reasonCode: 0x97 } as const;
  const refused = async (from: string) => ({ ...(await node.publish("t", "2", { from })), request: 0 });
  assert.deepEqual(await refused("old"), { ...refusal, delay: 1000 });
  assert.deepEqual(await refused("old"), { ...refusal, delay: 2000 });
  assert.deepEqual(await refused("new"), { ...refusal, delay: 0 });
  const client = node.connect("c");
  node.subscribe("c", "t");
  await settle();
  node.ack("c");
  await settle();
  assert.deepEqual(client.payloads, ["1"], "what was refused was not routed");
  assert.deepEqual(await node.publish("t", "3", { from: "old" }), { result: "stored" });
});

test("a publisher whose texts are no UTF-8 is refused, and its link stays", async (t) => {
  const { node, settle } = await startLinkedPlugin(t);
  const refused = await node.publish("t", "1", { from: "a\0b" });
  assert.deepEqual(
    { ...refused, request: 0 },
    {
      request: 0,
      result: "refused",
      temporary: false,
      acknowledge: false,
      reasonCode: 0x90,
      delay: 1000,
    },
  );
  node.connect("c\0");
  node.connect("c");
  node.subscribe("c", "t\0");
  node.subscribe("c", "a#b");
  await settle();
  node.unsubscribe("c", "t\0");
  await settle();
  assert.deepEqual(await node.publish("t", "1"), { result: "stored" });
});

test("with acknowledgements that do not hold up routing, live subscribers have it first, and one that was held gets it from the store", async (t) => {
  const { node, store, emqx, settle } = await startLinkedPlugin(t, { asyncPublishAck: true });
  const live = node.connect("live");
  node.subscribe("live", "t");
  await settle();
  node.openGates();
  const held = node.connect("held");
  node.subscribe("held", "t");
  const publish = node.publish("t", "1");
  assert.deepEqual(live.payloads, ["1"], "before it is stored");
  // PUBACK comes before the engine has answered.
  node.ack("live");
  assert.deepEqual(await publish, { result: "stored" });
  await settle();
  assert.deepEqual(held.payloads, ["1"], "it is owed it");
  node.ack("held");
  await settle();
  assert.deepEqual(store.messages, []);
  const second = node.publish("t", "2");
  await second;
  await settle();
  assert.deepEqual(
    [live.payloads, held.payloads],
    [
      ["1", "2"],
      ["1", "2"],
    ],
  );
  node.ack("live");
  node.ack("held");
  await settle();
  assert.deepEqual(store.messages, []);
  assert.equal(emqx.outstanding.size, 0);
});

test("a shared subscription that catches up is pushed live messages too, each to one member, and none twice", async (t) => {
  const { node, store, emqx, settle } = await startLinkedPlugin(t);
  for (const payload of numbers(1, 20)) await node.publish("t", payload);
  const members = ["a", "b"].map((clientId) => {
    const client = node.connect(clientId, { receiveMaximum: 2 });
    node.subscribe(clientId, "$share/g/t");
    return client;
  });
  await settle();
  for (const payload of numbers(21, 40)) {
    await node.publish("t", payload);
    for (const { clientId } of members) node.ack(clientId);
  }
  while (members.some(({ inFlight }) => inFlight.size > 0)) {
    for (const { clientId } of members) node.ack(clientId, 2);
    await settle();
  }
  await settle();
  const all = members.flatMap(({ payloads }) => payloads);
  assert.deepEqual(
    all.sort((left, right) => Number(left) - Number(right)),
    numbers(1, 40),
  );
  assert.deepEqual(store.messages, []);
  assert.deepEqual(emqx.publishes.memory, { underway: 0, waiting: 0 });
});

test("nothing is delivered over a connection that is full, and everything once it is read again", async (t) => {
  const backlog = 256 * 1024;
  const { node, emqx, settle } = await startLinkedPlugin(t, { linkLimits: { backlog }, node: { connections: 1 } });
  const payload = "x".repeat(20_000);
  for (let number = 0; number < 300; number += 1) await node.publish("t", `${number} ${payload}`);
  node.pauseReading();
  const clients = numbers(1, 6).map((number) => node.connect(`c${number}`, { receiveMaximum: 100 }));
  for (const { clientId } of clients) node.subscribe(clientId, "$share/g/t");
  await waitFor(() => clients.some(({ clientId }) => !emqx.hasRoomFor(clientId)), { what: "a full connection" });
  const connection = emqx.sessions.connected("c1")?.connection;
  assert.ok(connection && connection.backlog < backlog + 64 * 1024, `${connection?.backlog}`);
  node.resumeReading();
  let received = 0;
  while (received < 300) {
    await settle();
    for (const { clientId } of clients) node.ack(clientId, 100);
    received = clients.reduce((sum, client) => sum + client.received.length, 0);
  }
  assert.equal(received, 300);
});

test("what is told of sessions that are not known is ignored", async (t) => {
  const { node, settle, log } = await startLinkedPlugin(t);
  const key = { id: "0005F5E1A3B2C4D5F44D000012AB0001", topic: "t" };
  const session = 4711;
  node.sendRaw("x", { opcode: NodeOpcode.Acked, session, ...key });
  node.sendRaw("x", { opcode: NodeOpcode.Dropped, session, reason: 1, ...key });
  node.sendRaw("x", { opcode: NodeOpcode.Delivered, session, qos: 1, retained: false, replayed: false, ...key });
  node.sendRaw("x", { opcode: NodeOpcode.Missed, session, topicFilter: "t", above: 0, upTo: 2 ** 63 });
  node.sendRaw("x", { opcode: NodeOpcode.Disconnected, session, livesOn: true });
  node.sendRaw("x", { opcode: NodeOpcode.Ended, session });
  node.sendRaw("x", { opcode: NodeOpcode.Unsubscribed, session, topicFilter: "t" });
  node.sendRaw("x", { opcode: NodeOpcode.NotRouted, ...key });
  await settle();
  assert.equal(log.filter(({ level }) => level === "warn").length, 0);
});
