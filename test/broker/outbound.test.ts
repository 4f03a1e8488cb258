// Writing: packets of one turn go out in one write, one write at a time, bounded.

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { FlushScheduler, Outbound } from "../../src/broker/outbound.ts";
import type { Message } from "../../src/mqtt/message.ts";

/** A stream whose writes the test completes. */
class SlowStream extends Duplex {
  readonly writes: string[] = [];
  #complete: (() => void) | undefined;

  constructor() {
    super({ writableHighWaterMark: 1 });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.writes.push(String(chunk));
    this.#complete = callback;
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "utf8", callback);
  }

  async complete(): Promise<void> {
    const complete = this.#complete;
    this.#complete = undefined;
    complete?.();
    await turn();
    await turn();
  }
}

function outboundTo(stream: Duplex, maxBacklog = 1_000_000) {
  const events: string[] = [];
  const listener = {
    written: (messages: readonly Message[]) => events.push(`written ${messages.map(({ topic }) => topic).join()}`),
    overflowed: () => events.push("overflowed"),
    sent: (bytes: number) => events.push(`sent ${bytes}`),
  };
  return { outbound: new Outbound(stream, new FlushScheduler(), listener, maxBacklog), events };
}

const message = (topic: string): Message => ({ topic }) as Message;

test("what one turn pushes is one write; what comes meanwhile is the next", async () => {
  const stream = new SlowStream();
  const { outbound, events } = outboundTo(stream);
  outbound.push(Buffer.from("one "));
  outbound.mark(message("m2"));
  outbound.push(Buffer.from("two "), Buffer.from("too "));
  assert.equal(outbound.backlog, 12);
  await turn();
  outbound.mark(message("m3"));
  outbound.push(Buffer.from("three"));
  await turn();
  assert.deepEqual(stream.writes, ["one two too "]);
  assert.equal(outbound.backlog, 17);
  outbound.end();
  await stream.complete();
  assert.deepEqual(stream.writes, ["one two too ", "three"]);
  assert.equal(stream.writableEnded, false);
  await stream.complete();
  assert.equal(stream.writableEnded, true);
  assert.deepEqual(events, ["sent 12", "written m2", "sent 5", "written m3"]);
  outbound.push(Buffer.from("too late"));
  assert.equal(outbound.backlog, 0);
});

test("large writes are not joined, and do not wait for the end of the turn", async () => {
  const stream = new SlowStream();
  const { outbound, events } = outboundTo(stream);
  outbound.mark(message("large"));
  outbound.push(Buffer.from("header"), Buffer.alloc(100_000, 97));
  assert.equal(stream.writes.join("").length, 100_006);
  await stream.complete();
  await stream.complete();
  assert.deepEqual(events, ["sent 100006", "written large"]);
});

test("beyond the limit the listener is told, once, and nothing more is taken", async () => {
  const stream = new SlowStream();
  const { outbound, events } = outboundTo(stream, 10);
  outbound.push(Buffer.from("12345"));
  await turn();
  for (let count = 0; count < 5; count++) outbound.push(Buffer.from("12345"));
  await turn();
  assert.equal(outbound.backlog, 15);
  assert.deepEqual(events, ["sent 5", "overflowed"]);
});

test("many small packets behind a slow write are joined, in order", async () => {
  const stream = new SlowStream();
  const { outbound } = outboundTo(stream);
  outbound.push(Buffer.from("first"));
  await turn();
  const packets = Array.from({ length: 100 }, (_, at) => `${at} `);
  for (const packet of packets) outbound.push(Buffer.from(packet));
  outbound.push(Buffer.alloc(200_000, 97));
  for (const packet of packets) outbound.push(Buffer.from(packet));
  for (let count = 0; count < 5; count++) await stream.complete();
  assert.equal(stream.writes.join(""), `first${packets.join("")}${"a".repeat(200_000)}${packets.join("")}`);
});

test("a stream that breaks throws away what waits", async () => {
  const stream = new SlowStream();
  stream.on("error", () => {});
  const { outbound, events } = outboundTo(stream);
  outbound.mark(message("lost"));
  outbound.push(Buffer.from("one"));
  await turn();
  outbound.push(Buffer.from("two"));
  stream.destroy(new Error("broken"));
  outbound.end();
  assert.deepEqual([events, outbound.backlog], [["sent 3"], 0]);
});
