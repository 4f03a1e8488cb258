// `$SYS/` topics: values at once and when they change, events of clients, and nothing for those who did not ask.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { Metrics } from "../../src/broker/metrics.ts";
import { LoadAverages } from "../../src/broker/sys-topics-load.ts";
import { NODE_NAME, NODE_TOPICS, SYS_TOPICS } from "../../src/broker/sys-topics-values.ts";
import type { PublishPacket } from "../../src/mqtt/codec/packets.ts";
import type { ListenAddress } from "../../src/mqtt/listen.ts";
import { version } from "../../src/mqtt/version.ts";
import { type FixtureOptions, startBroker } from "./broker-fixture.ts";
import { type RawClient, text } from "./raw-client.ts";
import { WebSocketClient } from "./websocket-client.ts";

/** Seconds between two updates; the tests turn the clock. */
const INTERVAL = 10;
const ALL = SYS_TOPICS.map(({ topic }) => topic).sort();

/** A broker whose intervals the test lets pass. */
async function startStillBroker(t: TestContext, options: FixtureOptions = {}) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const fixture = await startBroker(t, { sysInterval: INTERVAL, ...options });
  return { ...fixture, update: () => t.mock.timers.tick(INTERVAL * 1000) };
}

/** What has come since. */
async function arrived(client: RawClient): Promise<PublishPacket[]> {
  return (await client.ping()) as PublishPacket[];
}

/** The next event: the end of its topic, and its fields. */
async function nextEvent(client: RawClient): Promise<{ event: string; fields: Record<string, unknown> }> {
  const packet = await client.next("publish");
  assert.deepEqual([packet.retain, packet.qos], [false, 0]);
  return { event: packet.topic.slice(`${NODE_TOPICS}/clients/`.length), fields: JSON.parse(text(packet)) };
}

test("a client that subscribes gets every value at once, as retained, with QoS 0", async (t) => {
  const { connect } = await startStillBroker(t);
  const client = await connect("c");
  assert.equal(await client.subscribe("$SYS/#", { qos: 2 }), 2);
  const packets = await arrived(client);
  assert.deepEqual(packets.map(({ topic }) => topic).sort(), ALL);
  assert.deepEqual([...new Set(packets.map(({ retain, qos }) => `${retain} ${qos}`))], ["true 0"]);
  const values = new Map(packets.map((packet) => [packet.topic, text(packet)]));
  const expected = {
    "$SYS/broker/version": `omp version ${version()}`,
    "$SYS/broker/uptime": "0 seconds",
    "$SYS/broker/clients/connected": "1",
    "$SYS/broker/clients/total": "1",
    "$SYS/broker/clients/maximum": "1",
    "$SYS/broker/clients/disconnected": "0",
    "$SYS/broker/subscriptions/count": "1",
    "$SYS/broker/retained messages/count": "0",
    "$SYS/broker/load/bytes/received/15min": "0.00",
    "$SYS/brokers": NODE_NAME,
    [`${NODE_TOPICS}/version`]: version(),
    [`${NODE_TOPICS}/stats/live_connections/count`]: "1",
    [`${NODE_TOPICS}/metrics/client/connected`]: "1",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((topic) => [topic, values.get(topic)])), expected);
  assert.ok(Number(values.get("$SYS/broker/heap/current")) > 1_000_000);
  assert.ok(Math.abs(Date.parse(values.get(`${NODE_TOPICS}/datetime`) ?? "") - Date.now()) < 60_000);
});

test("later a value comes when it has changed, and only then", async (t) => {
  const { connect, update } = await startStillBroker(t);
  const client = await connect("c");
  const published = "$SYS/broker/publish/messages/received";
  client.sendSubscribe([{ topicFilter: "$SYS/broker/subscriptions/count" }, { topicFilter: published }]);
  await client.next("suback");
  assert.deepEqual((await arrived(client)).map(text), ["2", "0"]);
  update();
  assert.deepEqual(await arrived(client), []);
  await client.publishAcked("t", "x");
  assert.deepEqual(await arrived(client), [], "not before the interval is over");
  update();
  const changed = await arrived(client);
  assert.deepEqual(
    changed.map((packet) => [packet.topic, text(packet), packet.retain]),
    [[published, "1", false]],
  );
  update();
  assert.deepEqual(await arrived(client), []);
});

test("Retain Handling and Retain As Published count for them; wildcards at the start do not match them", async (t) => {
  const { connect, update } = await startStillBroker(t);
  const client = await connect("c");
  for (const filter of ["#", "+/broker/#", "+/#"]) await client.subscribe(filter);
  const topic = "$SYS/broker/messages/received";
  await client.subscribe(topic, { retainHandling: 2, retainAsPublished: true });
  update();
  assert.deepEqual(await arrived(client), []);
  update();
  assert.deepEqual(
    (await arrived(client)).map((packet) => [packet.topic, packet.retain]),
    [[topic, true]],
  );
});

test("a shared subscription gets changes in turns, and nothing at once", async (t) => {
  const { connect, update } = await startStillBroker(t);
  const [one, two] = [await connect("one"), await connect("two")];
  for (const client of [one, two]) await client.subscribe("$share/g/$SYS/broker/messages/received");
  update();
  assert.deepEqual([await arrived(one), await arrived(two)], [[], []]);
  update();
  const first = [(await arrived(one)).length, (await arrived(two)).length];
  update();
  const second = [(await arrived(one)).length, (await arrived(two)).length];
  assert.deepEqual([first, second].map(([left]) => left).sort(), [0, 1]);
  assert.deepEqual([first, second].map(([, right]) => right).sort(), [0, 1]);
});

test("no hook hears of them, no session keeps them, and they take no room of retained messages", async (t) => {
  const { broker, hooks, connect, connectPersistent, update } = await startStillBroker(t, { maxRetainedMessages: 0 });
  const client = await connect("c");
  const other = await connectPersistent("p");
  for (const subscriber of [client, other]) {
    await subscriber.subscribe("$SYS/#", { qos: 1 });
    assert.ok((await arrived(subscriber)).length >= ALL.length);
  }
  await other.break();
  update();
  update();
  assert.ok((await arrived(client)).some(({ topic }) => topic === "$SYS/broker/clients/disconnected"));
  const { retained, retainedBytes, queued, inflight } = broker.metrics;
  assert.deepEqual(
    { retained, retainedBytes, queued, inflight },
    { retained: 0, retainedBytes: 0, queued: 0, inflight: 0 },
  );
  assert.deepEqual(hooks.published, []);
  assert.deepEqual(
    hooks.calls.filter((call) => /deliver|acked|routed/.test(call)),
    [],
  );
  const again = await connectPersistent("p");
  assert.deepEqual(
    (await arrived(again)).map(({ topic }) => topic),
    [`${NODE_TOPICS}/clients/p/connected`],
    "its own event, and nothing from when it was away",
  );
});

test("nothing is made while nobody who is connected subscribes to $SYS/", async (t) => {
  const { broker, connect, connectPersistent, update } = await startStillBroker(t);
  const away = await connectPersistent("away");
  await away.subscribe("$SYS/#");
  await away.break();
  let made = 0;
  const next = broker.ids.next.bind(broker.ids);
  broker.ids.next = () => {
    made += 1;
    return next();
  };
  const client = await connect("c");
  await client.subscribe("#");
  update();
  update();
  await client.disconnect();
  assert.equal(made, 0);
  const watcher = await connect("w");
  await watcher.subscribe("$SYS/broker/version");
  assert.equal((await arrived(watcher)).length, 1);
  assert.equal(made, 1, "one subscriber, one topic, one message");
});

test("an interval of 0 switches all of them off", async (t) => {
  const { connect } = await startStillBroker(t, { sysInterval: 0 });
  const client = await connect("c");
  await client.subscribe("$SYS/#");
  t.mock.timers.tick(3_600_000);
  const other = await connect("other");
  await other.disconnect();
  assert.deepEqual(await arrived(client), []);
});

test("a slow reader delays nobody: its values are dropped", async (t) => {
  const { broker, connect, update } = await startStillBroker(t, { maxWriteBuffer: 1024, maxWriteBacklog: 64 * 1024 });
  const [slow, quick] = [await connect("slow"), await connect("quick")];
  for (const client of [slow, quick]) await client.subscribe("$SYS/#");
  slow.socket.pause();
  await arrived(quick);
  for (let round = 0; round < 2000 && broker.metrics.dropped.slowReader === 0; round++) {
    update();
    assert.ok((await arrived(quick)).length > 0);
  }
  assert.ok(broker.metrics.dropped.slowReader > 0);
  assert.equal(broker.metrics.queued, 0);
});

test("who connects and goes is told in EMQX's words", async (t) => {
  const { connect, port } = await startStillBroker(t);
  const watcher = await connect("watcher");
  await watcher.subscribe(`${NODE_TOPICS}/clients/+/+`);
  const before = Date.now();
  const client = await connect("c1", { userName: "foo", keepAlive: 60, properties: { sessionExpiryInterval: 5 } });
  const { event, fields } = await nextEvent(watcher);
  const { connected_at, ts } = fields as { connected_at: number; ts: number };
  assert.ok(connected_at >= before && ts >= connected_at && ts <= Date.now());
  const common = {
    clientid: "c1",
    username: "foo",
    ipaddress: "127.0.0.1",
    sockport: port,
    protocol: "mqtt",
    proto_name: "MQTT",
    proto_ver: 5,
    connected_at,
  };
  assert.equal(event, "c1/connected");
  assert.deepEqual(fields, { ...common, keepalive: 60, clean_start: true, expiry_interval: 5, connack: 0, ts });
  await client.disconnect();
  const gone = await nextEvent(watcher);
  const { disconnected_at, ts: goneAt } = gone.fields;
  assert.equal(gone.event, "c1/disconnected");
  assert.deepEqual(gone.fields, { ...common, reason: "normal", disconnected_at, ts: goneAt });
  assert.equal(typeof disconnected_at, "number");
});

const REASONS: readonly [reason: string, leave: (client: RawClient, connect: () => Promise<RawClient>) => unknown][] = [
  ["disconnect_with_will_message", (client) => client.disconnect(0x04)],
  ["tcp_closed", (client) => client.break()],
  ["takenover", (_client, connect) => connect()],
  [
    "protocol_error",
    (client) => client.send({ type: "connect", version: 5, cleanStart: true, keepAlive: 0, clientId: "c" }),
  ],
];

for (const [reason, leave] of REASONS) {
  test(`the reason of an end: ${reason}`, async (t) => {
    const { connect } = await startStillBroker(t);
    const watcher = await connect("watcher");
    await watcher.subscribe("$SYS/brokers/+/clients/+/disconnected");
    await leave(await connect("c"), () => connect("c"));
    const { event, fields } = await nextEvent(watcher);
    assert.deepEqual([event, fields.reason, fields.username], ["c/disconnected", reason, "undefined"]);
  });
}

test("a client over WebSocket has its address in the event", async (t) => {
  const websocket = { mqttPath: "/mqtt", maxFrameSize: 65_536, checkOriginEnable: true, checkOrigins: [] };
  const { connect, addresses } = await startStillBroker(t, { ws: { host: "127.0.0.1", port: 0, websocket } });
  const { port } = addresses.ws as ListenAddress;
  const watcher = await connect("watcher");
  await watcher.subscribe("$SYS/brokers/+/clients/+/connected");
  const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/mqtt`, { clientId: "web" });
  t.after(() => client.webSocket.terminate());
  const { event, fields } = await nextEvent(watcher);
  assert.deepEqual([event, fields.ipaddress, fields.sockport], ["web/connected", "127.0.0.1", port]);
});

test("a client id that no topic can contain has no events, and harms nothing", async (t) => {
  const { connect } = await startStillBroker(t);
  const watcher = await connect("watcher");
  await watcher.subscribe("$SYS/#");
  await arrived(watcher);
  for (const clientId of ["a/#", "+", "x".repeat(65_500)]) await (await connect(clientId)).disconnect();
  await (await connect("a/b")).disconnect();
  assert.deepEqual(
    (await arrived(watcher)).map(({ topic }) => topic),
    [`${NODE_TOPICS}/clients/a/b/connected`, `${NODE_TOPICS}/clients/a/b/disconnected`],
  );
});

test("averages fade by the exponential of their age", () => {
  const metrics = new Metrics();
  const loads = new LoadAverages();
  metrics.socketsAccepted = 60;
  loads.update(metrics, 60);
  const expected = (minutes: number) => 60 * (1 - Math.exp(-1 / minutes));
  for (const minutes of [1, 5, 15]) assert.ok(Math.abs(loads.get("sockets", minutes) - expected(minutes)) < 1e-9);
  loads.update(metrics, 60);
  assert.ok(Math.abs(loads.get("sockets", 1) - expected(1) * Math.exp(-1)) < 1e-9);
  loads.update(metrics, 0);
  for (let minute = 0; minute < 200; minute++) {
    metrics.socketsAccepted += 7;
    loads.update(metrics, 60);
  }
  for (const minutes of [1, 5, 15]) assert.ok(Math.abs(loads.get("sockets", minutes) - 7) < 0.01);
});

test("docs/sys-topics.md lists every topic, and no other", () => {
  const page = readFileSync(new URL("../../docs/sys-topics.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/^\| `(\$SYS\/[^`]+)` \|/gm)].flatMap(([, topic = ""]) => {
    const named = topic.replace("{node}", NODE_NAME);
    return named.endsWith("/{1min,5min,15min}")
      ? ["1min", "5min", "15min"].map((minutes) => named.replace("{1min,5min,15min}", minutes))
      : [named];
  });
  const events = ["connected", "disconnected"].map((event) => `${NODE_TOPICS}/clients/{clientid}/${event}`);
  assert.deepEqual(listed.sort(), [...ALL, ...events].sort());
});
