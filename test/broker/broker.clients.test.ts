// Stock clients against the broker: MQTT.js, and mosquitto_pub and mosquitto_sub.

import assert from "node:assert/strict";
import { test } from "node:test";
import mqtt, { type IClientOptions, type IConnackPacket } from "mqtt";
import { findMosquitto } from "../support/mosquitto.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";

const mosquitto = await findMosquitto();

for (const protocolVersion of [3, 4, 5] as const) {
  test(`MQTT.js ${protocolVersion}: every QoS, both ways`, async (t) => {
    const { port } = await startBroker(t, { withoutHooks: true });
    const protocolId = protocolVersion === 3 ? "MQIsdp" : "MQTT";
    const connect = (clientId: string) =>
      mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion, protocolId, clientId });
    const subscriber = await connect("sub");
    const publisher = await connect("pub");
    t.after(() => Promise.all([subscriber.endAsync(true), publisher.endAsync(true)]));
    const received: string[] = [];
    subscriber.on("message", (topic, payload, packet) => received.push(`${topic} ${payload} ${packet.qos}`));
    for (const qos of [0, 1, 2] as const) await subscriber.subscribeAsync(`q${qos}/#`, { qos });
    const expected: string[] = [];
    for (const published of [0, 1, 2] as const) {
      for (const subscribed of [0, 1, 2] as const) {
        await publisher.publishAsync(`q${subscribed}/t`, `p${published}`, { qos: published });
        expected.push(`q${subscribed}/t p${published} ${Math.min(published, subscribed)}`);
      }
    }
    await waitFor(() => received.length === expected.length, { what: "all messages" });
    assert.deepEqual(received.sort(), expected.sort());
  });
}

test("MQTT.js takes over the Server Keep Alive, and gets the Response Information that it asks for", async (t) => {
  const options = { serverKeepalive: 7, responseInformation: "responses" };
  const { port } = await startBroker(t, { withoutHooks: true, ...options });
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    keepalive: 100,
    properties: { requestResponseInformation: true },
  });
  t.after(() => client.endAsync(true));
  const { properties } = await within(new Promise<IConnackPacket>((resolve) => client.once("connect", resolve)), {
    what: "CONNACK",
  });
  assert.deepEqual([properties?.serverKeepAlive, properties?.responseInformation], [7, "responses"]);
  assert.equal(client.keepalive, 7);
});

test("MQTT.js: Topic Aliases of its own making, in both directions, and a Receive Maximum", async (t) => {
  const { port, broker } = await startBroker(t, { withoutHooks: true, maxTopicAlias: 3 });
  const connect = (options: IClientOptions) =>
    mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, ...options });
  const subscriber = await connect({ properties: { topicAliasMaximum: 2, receiveMaximum: 2 } });
  const publisher = await connect({ autoAssignTopicAlias: true });
  t.after(() => Promise.all([subscriber.endAsync(true), publisher.endAsync(true)]));
  const received: string[] = [];
  subscriber.on("message", (topic, payload) => received.push(`${topic} ${payload}`));
  // MQTT.js forgets the topic of a QoS 2 message that came by its alias.
  await subscriber.subscribeAsync("t/#", { qos: 1 });
  const expected = Array.from({ length: 60 }, (_, at) => `t/${"long/".repeat(20)}${at % 3} ${at}`);
  const before = broker.metrics.bytesReceived;
  await Promise.all(
    expected.map((line, at) => {
      const [topic = "", payload = ""] = line.split(" ");
      return publisher.publishAsync(topic, payload, { qos: (at % 2) as 0 | 1 });
    }),
  );
  await waitFor(() => received.length === expected.length, { what: "all messages" });
  assert.deepEqual(received.sort(), expected.sort());
  // Most topics were not sent in full.
  assert.ok(broker.metrics.bytesReceived - before < (expected.join("").length * 3) / 4);
});

for (const version of ["mqttv31", "mqttv311", "mqttv5"]) {
  test(`mosquitto ${version}: published lines arrive, in order, once`, {
    skip: mosquitto.missing ?? false,
  }, async (t) => {
    const { port } = await startBroker(t, { withoutHooks: true });
    const address = { host: "127.0.0.1", port };
    const subscriber = mosquitto.subscribe(t, address, ["-V", version, "-t", "t/#", "-q", "2"]);
    await subscriber.subscribed();
    const lines = Array.from({ length: 200 }, (_, at) => `line ${at}`);
    const args = ["-V", version, "-t", "t/x", "-q", "2", "-l"];
    const { code, stderr } = await mosquitto.publish(address, args, `${lines.join("\n")}\n`);
    assert.equal(code, 0, stderr);
    await waitFor(() => subscriber.messages.length >= lines.length, { what: "all lines" });
    assert.deepEqual(subscriber.payloads, lines);
  });
}
