// Frames as bytes: the document's examples, round trips, and what is no frame.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineOpcode, readEngineFrame, writeEngineFrame } from "../../src/emqx/engine-frames.ts";
import { FrameWriter } from "../../src/emqx/frame-fields.ts";
import { FrameReader } from "../../src/emqx/frame-reader.ts";
import {
  checkProof,
  commonVersion,
  engineProof,
  frameOf,
  type Hello,
  nodeProof,
  readChallenge,
  readHello,
  readWelcome,
  writeChallenge,
  writeHello,
  writeProof,
  writeRefuse,
  writeWelcome,
} from "../../src/emqx/handshake.ts";
import { LinkProtocolError, LinkRefusedError } from "../../src/emqx/link-error.ts";
import { NodeOpcode, publishFrame, readNodeFrame, writeNodeFrame } from "../../src/emqx/node-frames.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { linkExamples } from "./link-examples.ts";
import { randomEngineFrame, randomNodeFrame } from "./random-frames.ts";

const SECRET = Buffer.from("0123456789abcdef");
const examples = linkExamples();
const LIMIT = 16 * 1024 * 1024;

const HELLO: Hello = {
  lowestVersion: 1,
  highestVersion: 1,
  index: 0,
  connections: 4,
  instance: Buffer.alloc(16, 0x11),
  nonce: Buffer.alloc(32, 0x22),
  nodeName: "emqx@127.0.0.1",
  emqxVersion: "6.0.1",
  pluginVersion: "0.1.0",
};
const CHALLENGE = { version: 1, instance: Buffer.alloc(16, 0x33), nonce: Buffer.alloc(32, 0x44) };
const MESSAGE = {
  id: "0005F5E1A3B2C4D5F44D000012AB0000",
  from: "p1",
  topic: "t/1",
  qos: 1,
  retain: true,
  payload: Buffer.from("hi"),
  timestamp: 1_677_724_346_402,
  expiresAt: 1_677_724_346_402 + 60_000,
  properties: {
    userProperties: [
      ["b", "2"],
      ["a", "1"],
    ],
  },
} as const;

function example(name: string): Buffer {
  const bytes = examples.get(name);
  assert.ok(bytes, `docs/emqx-link.md has an example of ${name}`);
  return bytes;
}

function frame(name: string): Buffer {
  const reader = new FrameReader(LIMIT);
  reader.push(example(name));
  const read = reader.next();
  assert.ok(read, `${name} is whole`);
  assert.equal(reader.next(), undefined);
  assert.equal(reader.size, 0);
  return read;
}

test("the start of a connection is as the document's examples have it", () => {
  const hello = frameOf((writer) => writeHello(writer, HELLO));
  assert.deepEqual(hello.sent, example("HELLO"));
  assert.deepEqual(readHello(frame("HELLO")), HELLO);
  const challenge = frameOf((writer) => writeChallenge(writer, CHALLENGE));
  assert.deepEqual(challenge.sent, example("CHALLENGE"));
  assert.deepEqual(readChallenge(frame("CHALLENGE")), CHALLENGE);
  const proof = frameOf((writer) => writeProof(writer, nodeProof(SECRET, hello.frame, challenge.frame)));
  assert.deepEqual(proof.sent, example("PROOF"));
  checkProof(SECRET, hello.frame, challenge.frame, frame("PROOF"));
  const terms = {
    longestFrame: LIMIT,
    windowPublishes: 4096,
    windowBytes: LIMIT,
    heartbeat: 5000,
    engineVersion: "0.1.0",
  };
  const ours = engineProof(SECRET, hello.frame, challenge.frame, proof.frame);
  assert.deepEqual(frameOf((writer) => writeWelcome(writer, ours, terms)).sent, example("WELCOME"));
  assert.deepEqual(readWelcome(frame("WELCOME")), { ...terms, proof: ours });
});

test("PUBLISH, ANSWERS and SUBSCRIBED are as the document's examples have them", () => {
  const writer = new FrameWriter();
  writeNodeFrame(writer, publishFrame(7, MESSAGE));
  assert.deepEqual(writer.take(), example("PUBLISH"));
  assert.deepEqual(readNodeFrame(frame("PUBLISH")), publishFrame(7, MESSAGE));
  const answers = {
    opcode: EngineOpcode.Answers,
    answers: [
      { request: 7, result: "stored", number: 1_756_857_600_000 * 1024, reportDeliveries: false },
      { request: 8, result: "refused", temporary: true, acknowledge: false, reasonCode: 0x83, delay: 0 },
      { request: 9, result: "pass" },
    ],
  } as const;
  writeEngineFrame(writer, answers);
  assert.deepEqual(writer.take(), example("ANSWERS"));
  assert.deepEqual(readEngineFrame(frame("ANSWERS")), answers);
  const subscribed = {
    opcode: NodeOpcode.Subscribed,
    session: 5,
    isNew: true,
    gate: 1,
    subscription: { topicFilter: "t/#", qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 0 },
  } as const;
  writeNodeFrame(writer, subscribed);
  assert.deepEqual(writer.take(), example("SUBSCRIBED"));
  assert.deepEqual(readNodeFrame(frame("SUBSCRIBED")), subscribed);
  assert.deepEqual([...examples.keys()].sort(), [
    "ANSWERS",
    "CHALLENGE",
    "HELLO",
    "PROOF",
    "PUBLISH",
    "SUBSCRIBED",
    "WELCOME",
  ]);
});

test("every frame comes back as it was written, however its bytes arrive", () => {
  const random = seededRandom("round trips of frames");
  for (let round = 0; round < 100; round++) {
    const writer = new FrameWriter();
    const fromNode = random.chance(0.5);
    const frames = Array.from({ length: 1 + random.below(20) }, () => {
      if (!fromNode) {
        const frame = randomEngineFrame(random);
        writeEngineFrame(writer, frame);
        return frame;
      }
      const frame = randomNodeFrame(random);
      writeNodeFrame(writer, frame);
      return frame;
    });
    const bytes = writer.take();
    const reader = new FrameReader(LIMIT);
    const read: unknown[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + random.below(random.pick([1, 7, 200, 5000])));
      reader.push(bytes.subarray(at, end));
      at = end;
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        read.push(fromNode ? readNodeFrame(frame) : readEngineFrame(frame));
      }
    }
    assert.deepEqual(read, frames);
    assert.equal(reader.size, 0);
  }
});

test("a frame that is cut off, too long for its fields or has random bytes is a protocol error, and nothing else", () => {
  const random = seededRandom("broken frames");
  for (let round = 0; round < 3000; round++) {
    const writer = new FrameWriter();
    writeNodeFrame(writer, randomNodeFrame(random));
    const whole = writer.take().subarray(4);
    const broken = random.pick([
      () => whole.subarray(0, 1 + random.below(whole.length)),
      () => Buffer.concat([whole, random.bytes(1 + random.below(3))]),
      () => random.bytes(1 + random.below(60)),
      () => {
        const changed = Buffer.from(whole);
        changed[random.below(changed.length)] = random.below(256);
        return changed;
      },
    ])();
    try {
      readNodeFrame(broken);
    } catch (error) {
      assert.ok(error instanceof LinkProtocolError, String(error));
    }
    try {
      readHello(broken);
    } catch (error) {
      assert.ok(error instanceof LinkProtocolError, String(error));
    }
  }
});

test("fields that are missing or left over are named", () => {
  assert.throws(() => readNodeFrame(Buffer.from("1100", "hex")), /the frame 11 ends in the middle of a field/);
  assert.throws(() => readNodeFrame(Buffer.from("40000000000000000100", "hex")), /the frame 40 has 1 bytes behind/);
  assert.throws(() => readNodeFrame(Buffer.from("50", "hex")), /the frame 50 is none that a node sends/);
  assert.throws(() => readEngineFrame(Buffer.from("20", "hex")), /the frame 20 is none that an engine sends/);
  assert.throws(() => readNodeFrame(Buffer.from(`12${"ff".repeat(8)}`, "hex")), /above 2\^53/);
  assert.throws(
    () => readNodeFrame(Buffer.from(`16${"00".repeat(7)}0103${"00".repeat(18)}`, "hex")),
    /there is no QoS 3/,
  );
});

test("text that is no UTF-8 is an error where the protocol is at fault, and told where clients may be", () => {
  const acked = Buffer.from(`15${"00".repeat(7)}01${"00".repeat(16)}0002fffe`, "hex");
  assert.throws(() => readNodeFrame(acked), /the frame 15 has a text that is no UTF-8/);
  const writer = new FrameWriter();
  writeNodeFrame(writer, publishFrame(1, { ...MESSAGE, from: "zz" }));
  const publish = Buffer.from(writer.take().subarray(4));
  publish[publish.indexOf("zz")] = 0xff;
  const read = readNodeFrame(publish);
  assert.ok(read.opcode === NodeOpcode.Publish && !read.isText && read.message.topic === "t/1");
  assert.deepEqual(readNodeFrame(Buffer.from(`14${"00".repeat(7)}010001ff`, "hex")), {
    opcode: NodeOpcode.Unsubscribed,
    session: 1,
    topicFilter: undefined,
  });
});

test("a frame above the limit is refused as soon as its length is there, and nothing is collected for it", () => {
  const reader = new FrameReader(4096);
  reader.push(Buffer.from("0000", "hex"));
  assert.equal(reader.next(), undefined);
  reader.push(Buffer.from("1001", "hex"));
  assert.throws(() => reader.next(), /a frame of 4097 bytes is above the limit of 4096/);
  const empty = new FrameReader(4096);
  empty.push(Buffer.alloc(4));
  assert.throws(() => empty.next(), /a frame has the length 0/);
});

test("who has another secret, version or frame is refused", () => {
  const hello = frameOf((writer) => writeHello(writer, HELLO)).frame;
  const challenge = frameOf((writer) => writeChallenge(writer, CHALLENGE)).frame;
  const other = Buffer.from("another secret 16");
  const proof = frameOf((writer) => writeProof(writer, nodeProof(other, hello, challenge))).frame;
  assert.throws(() => checkProof(SECRET, hello, challenge, proof), { name: "LinkRefusedError", reason: 2 });
  assert.throws(() => commonVersion({ ...HELLO, lowestVersion: 2, highestVersion: 3 }, "0.1.0"), {
    name: "LinkRefusedError",
    reason: 1,
    message: /speaks version 1 .* versions 2 to 3/,
  });
  assert.throws(() => readHello(Buffer.from("474554202f20485454502f312e310d0a", "hex")), /comes before its time/);
  assert.throws(() => readHello(Buffer.from("014f4d504d", "hex")), /does not begin with OMPL/);
  const refusal = new LinkRefusedError(4, "too many");
  const refuse = frameOf((writer) => writeRefuse(writer, refusal)).frame;
  assert.throws(() => readWelcome(refuse), { name: "LinkRefusedError", reason: 4, message: "too many" });
});
