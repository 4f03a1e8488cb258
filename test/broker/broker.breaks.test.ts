// QoS 1 and 2 through every break of a connection, on either side and at every byte of the exchange.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { PublishResult } from "../../src/plugin/hooks.ts";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { type Break, SessionClient } from "./session-client.ts";

const PAYLOADS = ["1", "2", "3"];
/** A little more than the PUBLISH and PUBREL packets of one exchange take, and the packets that answer them. */
const MESSAGE_BYTES = 60;
const ANSWER_BYTES = 28;

/** A break at each byte, of what is sent and of what is received. */
function breaks(sentBytes: number, receivedBytes: number): Break[] {
  return [
    ...Array.from({ length: sentBytes }, (_, at) => ({ afterSent: at + 1 })),
    ...Array.from({ length: receivedBytes }, (_, at) => ({ afterReceived: at + 1 })),
  ];
}

/** Exactly once with QoS 2, at least once and in order with QoS 1. */
function check(delivered: readonly string[], qos: 1 | 2, what: string): void {
  const counted = qos === 2 ? delivered : [...new Set(delivered)];
  assert.deepEqual(counted, PAYLOADS, `${what}: ${delivered}`);
}

interface Pair {
  readonly publisher: SessionClient;
  readonly subscriber: SessionClient;
  readonly topic: string;
}

async function startPair(t: TestContext, port: number, version: 4 | 5, qos: 1 | 2, name: string): Promise<Pair> {
  const publisher = new SessionClient(port, `p-${name}`, version);
  const subscriber = new SessionClient(port, `s-${name}`, version);
  t.after(() => {
    publisher.close();
    subscriber.close();
  });
  const topic = `t/${name}`;
  await subscriber.connect();
  await subscriber.subscribe(topic, qos);
  return { publisher, subscriber, topic };
}

async function allDelivered({ publisher, subscriber }: Pair): Promise<void> {
  await waitFor(() => publisher.isDone, { what: "all acknowledgements", interval: 1 });
  await waitFor(() => new Set(subscriber.delivered).size === PAYLOADS.length, { what: "all messages", interval: 1 });
  await subscriber.ping();
}

for (const version of [4, 5] as const) {
  for (const qos of [1, 2] as const) {
    test(`MQTT ${version}, QoS ${qos}: the publisher's connection breaks at every byte`, async (t) => {
      const { port, hooks } = await startBroker(t);
      // Stored a moment later, as a plugin does it.
      hooks.answer = () => new Promise<PublishResult>((resolve) => setImmediate(resolve, "stored"));
      for (const [at, broken] of breaks(MESSAGE_BYTES, ANSWER_BYTES).entries()) {
        const pair = await startPair(t, port, version, qos, String(at));
        const { publisher, subscriber, topic } = pair;
        await publisher.connect(broken);
        for (const payload of PAYLOADS) publisher.publish(topic, qos, payload);
        await waitFor(() => publisher.isDone || !publisher.isConnected, { what: "a break or the end", interval: 1 });
        if (!publisher.isDone) await publisher.connect();
        await allDelivered(pair);
        check(subscriber.delivered, qos, JSON.stringify(broken));
        publisher.close();
        subscriber.close();
      }
    });

    test(`MQTT ${version}, QoS ${qos}: the subscriber's connection breaks at every byte`, async (t) => {
      const { port } = await startBroker(t, { withoutHooks: true, maxInflight: 2 });
      for (const [at, broken] of breaks(ANSWER_BYTES, MESSAGE_BYTES).entries()) {
        const pair = await startPair(t, port, version, qos, String(at));
        const { publisher, subscriber, topic } = pair;
        subscriber.close();
        await subscriber.closed();
        await subscriber.connect(broken);
        await publisher.connect();
        for (const payload of PAYLOADS) publisher.publish(topic, qos, payload);
        await waitFor(() => publisher.isDone, { what: "all acknowledgements", interval: 1 });
        const isThere = (): boolean => subscriber.delivered.length >= PAYLOADS.length || !subscriber.isConnected;
        await waitFor(isThere, { what: "a break or all messages", interval: 1 });
        subscriber.close();
        await subscriber.closed();
        await subscriber.connect();
        await allDelivered(pair);
        check(subscriber.delivered, qos, JSON.stringify(broken));
        publisher.close();
        subscriber.close();
      }
    });
  }
}
