// Messages that wait do not keep the socket's read buffer.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import { detachPayload } from "../../src/mqtt/payload.ts";
import { startBroker } from "./broker-fixture.ts";

const KIB = 1024;

function messageOf(payload: Uint8Array, correlationData?: Uint8Array): Message {
  const properties = correlationData === undefined ? undefined : { contentType: "x", correlationData };
  return { id: "", from: "c", topic: "t", qos: 1, retain: false, timestamp: 0, payload, properties };
}

test("a small view of a large buffer is copied, a large one stays", () => {
  const chunk = Buffer.alloc(64 * KIB, 97);
  const small = messageOf(chunk.subarray(10, 20), chunk.subarray(20, 30));
  detachPayload(small);
  assert.equal(Buffer.from(small.payload).toString(), "a".repeat(10));
  assert.ok(small.payload.buffer.byteLength <= 8 * KIB);
  assert.ok((small.properties?.correlationData?.buffer.byteLength ?? 0) <= 8 * KIB);
  assert.equal(small.properties?.contentType, "x");
  const large = messageOf(chunk.subarray(0, 40 * KIB));
  detachPayload(large);
  assert.equal(large.payload.buffer, chunk.buffer);
});

test("messages queued, in flight and retained are detached from what was read", async (t) => {
  const { broker, hooks, connect, connectPersistent } = await startBroker(t, { maxInflight: 1 });
  const subscriber = await connectPersistent("sub");
  await subscriber.subscribe("t");
  const publisher = await connect("pub");
  const payloads = ["in flight", "queued"];
  publisher.send(
    ...payloads.map((payload) => publisher.publishPacket("t", { payload })),
    publisher.publishPacket("kept", { payload: "retained", retain: true }),
    publisher.publishPacket("filler", { payload: Buffer.alloc(60 * KIB) }),
  );
  for (let count = 0; count < 4; count++) await publisher.next("puback");
  for (const payload of [...payloads, "retained"]) {
    assert.ok(hooks.message(payload).payload.buffer.byteLength <= 8 * KIB, payload);
  }
  assert.equal(broker.metrics.retained, 1);
});
