// What bounds pages, payloads that are shown, and long requests.

import assert from "node:assert/strict";
import { test } from "node:test";
import { linesOf } from "../../../src/management/offline-messages/lines.ts";
import { toShown } from "../../../src/management/offline-messages/message-json.ts";
import { Slots } from "../../../src/management/offline-messages/slots.ts";
import { nextId, sampleMessage } from "../../store/sample-messages.ts";
import { allPages, lineOf, startMessageBroker } from "./message-broker.ts";

const MIB = 1024 * 1024;

test("a page of messages ends when their properties have 16 MiB, and the next one goes on", async (t) => {
  const broker = await startMessageBroker(t);
  const user_properties = Array.from({ length: 17 }, (_, at) => ({ key: String(at), value: "x".repeat(65_000) }));
  const lines = async function* () {
    for (let at = 0; at < 20; at++) {
      yield Buffer.from(lineOf(nextId(), "t", String(at), { properties: { user_properties } }));
    }
  };
  await broker.import(ReadableStream.from(lines()) as ReadableStream<Uint8Array>);
  const first = await broker.page("/messages", { payload: "plain" });
  assert.equal(first.data.length, 16);
  assert.ok(first.meta.position);
  const all = await allPages(broker, "/messages", { payload: "plain" });
  assert.deepEqual(
    all.map(({ payload }) => payload),
    Array.from({ length: 20 }, (_, at) => String(at)),
  );
});

test("a payload above 16 MiB is not shown, and where to get it is told", () => {
  const limit = toShown(sampleMessage("t", Buffer.alloc(16 * MIB)), "hex");
  assert.equal(limit.payload?.length, 32 * MIB);
  const message = sampleMessage("t", Buffer.alloc(16 * MIB + 1));
  const { payload, payload_error, payload_size } = toShown(message, "base64");
  assert.deepEqual([payload, payload_size], [null, 16 * MIB + 1]);
  assert.match(payload_error ?? "", new RegExp(`messages/${message.id}/payload`));
});

test("so many long requests may be under way, and a place is given back once", () => {
  const slots = new Slots("purges", 2);
  const free = slots.take();
  slots.take();
  assert.throws(() => slots.take(), { status: 503, code: "SERVICE_UNAVAILABLE", message: /^2 purges are under way/ });
  free();
  free();
  slots.take();
  assert.throws(() => slots.take(), { status: 503 });
});

test("lines are the same however the bytes come, and one beyond the limit has none", async () => {
  const text = Buffer.from("\na\nbcd\n\nefghi\njk");
  for (let size = 1; size <= text.length; size++) {
    const chunks = async function* () {
      for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size);
    };
    const lines: string[] = [];
    for await (const { number, bytes } of linesOf(chunks(), 4)) lines.push(`${number}: ${bytes ?? "too long"}`);
    assert.deepEqual(lines, ["1: ", "2: a", "3: bcd", "4: ", "5: too long", "6: jk"]);
  }
});
