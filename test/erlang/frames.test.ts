// The Erlang end writes and reads the document's frames byte for byte, agrees with the other end about random ones, and takes
// nothing else for a frame.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EngineOpcode, writeEngineFrame } from "../../src/emqx/engine-frames.ts";
import { FrameWriter } from "../../src/emqx/frame-fields.ts";
import { publishFrame, writeNodeFrame } from "../../src/emqx/node-frames.ts";
import { linkExamples } from "../emqx/link-examples.ts";
import { randomEngineFrame, randomMessage } from "../emqx/random-frames.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { ebin } from "./ebin.ts";
import { type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";

const ROUND_TRIPS = 300;
const MUTATIONS = 3000;
const AT_ONCE = 100;

const skip = erlangMissing;
const examples = linkExamples();
const scope = inReverse({ after });
let node: ErlangNode;

before(async () => {
  if (skip !== undefined) return;
  node = await startErlangNode(scope, ebin, { configuration: "#{}" });
});

/** Without the length in front. */
function example(name: string): Buffer {
  const bytes = examples.get(name);
  assert.ok(bytes, name);
  return bytes.subarray(4);
}

function binary(bytes: Uint8Array): string {
  return `binary:decode_hex(<<"${Buffer.from(bytes).toString("hex")}">>)`;
}

async function encoded(frame: string): Promise<string> {
  const hex = await node.call(`binary_to_list(binary:encode_hex(iolist_to_binary(emqx_omp_frames:encode(${frame}))))`);
  return hex.replaceAll('"', "").toLowerCase();
}

const repeated = (byte: string, count: number): string => binary(Buffer.alloc(count, Number.parseInt(byte, 16)));

test("writes the examples of the document", { skip }, async () => {
  const written: Record<string, string> = {
    HELLO: `{hello, 0, 4, ${repeated("11", 16)}, ${repeated("22", 32)}, <<"emqx@127.0.0.1">>, <<"6.0.1">>, <<"0.1.0">>}`,
    PUBLISH: `{publish, 7, false, #{id => ${binary(example("PUBLISH").subarray(6, 22))}, timestamp => 16#186a029e822, qos => 1,
      retain => true, from => <<"p1">>, topic => <<"t/1">>, payload => <<"hi">>,
      properties => #{'Message-Expiry-Interval' => 60, 'User-Property' => [{<<"b">>, <<"2">>}, {<<"a">>, <<"1">>}]}}}`,
    SUBSCRIBED: `{subscribed, 5, true, 1, #{filter => <<"t/#">>, qos => 1, nl => true, rap => false, rh => 0, id => 0}}`,
  };
  for (const [name, frame] of Object.entries(written)) {
    assert.equal(await encoded(frame), example(name).toString("hex"), name);
  }
});

test("proves and checks the secret as in the examples of the document", { skip }, async () => {
  const secret = '<<"0123456789abcdef">>';
  const frames = [example("HELLO"), example("CHALLENGE"), example("PROOF")].map(binary);
  const proof = await node.call(
    `emqx_omp_frames:encode({proof, emqx_omp_frames:prove({node, [${frames.slice(0, 2).join(", ")}]}, ${secret})}) =:= ${frames[2]}`,
  );
  assert.equal(proof, "true");
  const welcome = await node.call(
    `{ok, {welcome, P, L, W, B, H, V}} = emqx_omp_frames:decode(${binary(example("WELCOME"))}),
     {P =:= emqx_omp_frames:prove({engine, [${frames.join(", ")}]}, ${secret}), L, W, B, H, V}`,
  );
  assert.equal(welcome, '{true,16777216,4096,16777216,5000,<<"0.1.0">>}');
});

test("reads the examples of the document", { skip }, async () => {
  assert.match(await node.call(`emqx_omp_frames:decode(${binary(example("CHALLENGE"))})`), /^\{ok,\{challenge,1,/);
  assert.equal(
    await node.call(`emqx_omp_frames:decode(${binary(example("ANSWERS"))})`),
    `{ok,{answers,[{7,{stored,${0x000664337e200000},false}},{8,{refused,true,false,131,0}},{9,pass}]}}`,
  );
});

test("agrees with the other end about random messages", { skip }, async () => {
  const random = seededRandom("Erlang frames, messages");
  const writer = new FrameWriter();
  for (let done = 0; done < ROUND_TRIPS; done += AT_ONCE) {
    const messages = Array.from({ length: AT_ONCE }, () => randomMessage(random));
    const pairs = messages.map((message) => {
      const at = { mayBeRetained: false, now: message.timestamp };
      writeEngineFrame(writer, { opcode: EngineOpcode.Deliver, session: 1, topicFilter: "f", message, ...at });
      const delivered = Buffer.from(writer.take());
      writeNodeFrame(writer, publishFrame(7, message));
      return [delivered.subarray(4), Buffer.from(writer.take()).subarray(4)].map((bytes) => binary(bytes)).join(", ");
    });
    const wrong = await node.call(
      `[B || {A, B} <- [${pairs.map((pair) => `{${pair}}`).join(", ")}],
        B =/= begin {ok, {deliver, 1, <<"f">>, false, M}} = emqx_omp_frames:decode(A),
        iolist_to_binary(emqx_omp_frames:encode({publish, 7, false, M})) end]`,
    );
    assert.equal(wrong, "[]");
  }
});

test("reads every random frame, and of what is none says what is wrong", { skip }, async () => {
  const random = seededRandom("Erlang frames, mutations");
  const writer = new FrameWriter();
  let refused = 0;
  for (let done = 0; done < MUTATIONS; done += AT_ONCE) {
    const whole = Array.from({ length: AT_ONCE }, () => {
      writeEngineFrame(writer, randomEngineFrame(random));
      return Buffer.from(writer.take()).subarray(4);
    });
    const broken = whole.map((bytes) => {
      const copy = Buffer.from(random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length)) : bytes);
      for (let i = random.below(4); i > 0 && copy.length > 0; i--) copy[random.below(copy.length)] = random.below(256);
      return copy;
    });
    const decoded = (all: readonly Buffer[]): Promise<string> =>
      node.call(`[element(1, emqx_omp_frames:decode(B)) || B <- [${all.map(binary).join(", ")}]]`);
    assert.match(await decoded(whole), /^\[ok(,ok)*\]$/);
    const verdicts = await decoded(broken);
    assert.match(verdicts, /^\[(?:ok|error)(?:,(?:ok|error))*\]$/);
    refused += verdicts.match(/error/g)?.length ?? 0;
  }
  assert.ok(refused > MUTATIONS / 10, `${refused} of ${MUTATIONS} were refused`);
});
