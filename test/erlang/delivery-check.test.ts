// The engine asks a session about messages that it counts as having: the node tells which of them it has not.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { NodeOpcode } from "../../src/emqx/node-frames.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
const ID = "0005F5E1A3B2C4D5F44D000012AB0000";
const NOWHERE = "00".repeat(16);

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`what sessions in EMQX ${release} have`, { skip }, () => {
    test("what the engine takes them to have, and they have not, is told when it asks", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(`omp_client:connect(<<"p">>, #{})`);
      await node.call(`omp_client:connect(<<"a">>, #{acknowledges => false})`);
      await node.call(`omp_client:subscribe(<<"a">>, <<"t">>, #{qos => 1})`);
      const { session } = await engine.next("Subscribed");
      await node.call(`omp_client:publish(<<"p">>, <<"t">>, 1, <<"1">>)`);
      await node.call(`omp_client:wait_for(<<"a">>, 1)`);
      const { id } = (await engine.next("Publish")).message;
      const ids = [id, ID];
      engine.sendTo(session, { opcode: EngineOpcode.Check, session, passed: false, ids });
      engine.sendTo(session, { opcode: EngineOpcode.Check, session, passed: true, ids });
      // Of the first nothing can be said: it may wait behind what is unacknowledged.
      assert.deepEqual((await engine.next("Lost")).ids, []);
      assert.deepEqual(await engine.next("Lost", 2), { opcode: NodeOpcode.Lost, session, ids: [ID] });
      await node.call(`omp_client:acknowledge(<<"a">>)`);
      engine.sendTo(session, { opcode: EngineOpcode.Check, session, passed: false, ids: [ID] });
      assert.deepEqual((await engine.next("Lost", 3)).ids, [ID]);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("what is on its way to them, in their mailbox or their gate, is not lost", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      engine.saysLive = false;
      await node.call(`omp_client:connect(<<"p">>, #{})`);
      await node.call(`omp_client:connect(<<"a">>, #{})`);
      await node.call(`omp_client:subscribe(<<"a">>, <<"t">>, #{qos => 1})`);
      const { session } = await engine.next("Subscribed");
      await node.call(`omp_client:publish(<<"p">>, <<"t">>, 1, <<"in the gate">>)`);
      const { id } = (await engine.next("Publish")).message;
      const a = `hd(emqx_cm:lookup_channels(<<"a">>))`;
      // For as long as the process lives that has suspended it.
      const suspends = `fun() -> erlang:suspend_process(${a}), receive over -> ok end end`;
      await node.call(`register(suspender, spawn(${suspends}))`);
      await waitFor(async () => (await node.call(`process_info(${a}, status)`)) === "{status,suspended}", {
        what: "it is suspended",
      });
      engine.sendTo(session, { opcode: EngineOpcode.Check, session, passed: true, ids: [id, ID, NOWHERE] });
      await waitFor(
        async () => (await node.call(`process_info(${a}, message_queue_len)`)) !== "{message_queue_len,0}",
        {
          what: "the question",
        },
      );
      const fields = '#{qos => 1, from => <<"p">>, topic => <<"t">>, payload => <<"on its way">>, retain => false';
      const message = `emqx_omp_emqx:message(${fields}, id => <<16#${ID}:128>>, properties => #{}}, {replayed, 0})`;
      await node.call(`${a} ! {deliver, <<"t">>, ${message}}`);
      await node.call("suspender ! over");
      assert.deepEqual((await engine.next("Lost")).ids, [NOWHERE]);
    });
  });
}
