// Client ids and filters that EMQX lets through although they are no text of MQTT: nothing is stored for them, and nothing held back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;

describe("what is no text of MQTT in EMQX", { skip }, () => {
  for (const [what, id, filter] of [
    ["a client id that is no UTF-8", '<<"caf", 16#e9>>', '<<"t">>'],
    ["a client id with U+0000", '<<"a", 0>>', '<<"t">>'],
  ] as const) {
    test(`${what}: its client gets messages as without the plugin`, async (t) => {
      const { node, engine } = await startPlugin(t, ebin);
      engine.saysLive = false;
      await node.call('omp_client:connect(<<"p">>, #{})');
      await node.call(`omp_client:connect(${id}, #{})`);
      await node.call(`omp_client:subscribe(${id}, ${filter}, #{qos => 1})`);
      assert.equal(await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"x">>)'), "{puback,0}");
      await node.call(`omp_client:wait_for(${id}, 1)`);
      assert.deepEqual(
        engine.all("Connected").map(({ clientId }) => clientId),
        ["p"],
      );
      assert.ok((await node.wholeLog()).some((line) => line.includes("its client id is no UTF-8")));
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });
  }

  test("a filter that is no UTF-8 is the client's own", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.saysLive = false;
    await node.call('omp_client:connect(<<"p">>, #{})');
    await node.call('omp_client:connect(<<"a">>, #{})');
    await node.call('omp_client:subscribe(<<"a">>, <<"caf", 16#e9, "/#">>, #{qos => 1})');
    await node.call('omp_client:subscribe(<<"a">>, <<"other">>, #{qos => 1})');
    const { subscription } = await engine.next("Subscribed");
    assert.equal(subscription?.topicFilter, "other");
    assert.equal(await node.call('omp_client:publish(<<"p">>, <<"caf", 16#e9, "/1">>, 1, <<"x">>)'), "{puback,0}");
    await node.call('omp_client:wait_for(<<"a">>, 1)');
    assert.equal(engine.all("Subscribed").length, 1);
    assert.ok((await node.wholeLog()).some((line) => line.includes("its filter is no UTF-8")));
  });
});
