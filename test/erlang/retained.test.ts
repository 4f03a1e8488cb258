// Retained copies and gates in EMQX: no replay sends them, so that a gate lets them pass whatever number they were stored under.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { type Plugin, startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
const SUBSCRIBE = '{subscribe, <<"t/#">>, #{qos => 1, rh => 2}}';
const publish = (payload: string, options = "#{}"): string =>
  `omp_client:publish(<<"p">>, <<"t/1">>, 1, <<"${payload}">>, ${options})`;
const seen = (count: number): string => `omp_client:wait_for(<<"a">>, ${count})`;
const KEPT = '{<<"t/1">>,1,<<"kept">>,[retain]}';

/** The process of `a` finds the retained message in its mailbox behind something else. */
function behind(first: string): string {
  return `begin [P] = emqx_cm:lookup_channels(<<"a">>), [M] = emqx_retainer:matching(<<"t/#">>),
    erlang:suspend_process(P), ${first}, P ! {deliver, <<"t/#">>, M}, erlang:resume_process(P) end`;
}

/** A client `a` with a gate, and a retained message that was stored. */
async function start(t: Parameters<typeof startPlugin>[0]): Promise<Plugin & { session: number }> {
  const plugin = await startPlugin(t, ebin);
  const { node, engine } = plugin;
  engine.saysLive = false;
  await node.call("application:set_env(emqx_offline_message_plugin, settling, 600000)");
  await node.call('omp_client:connect(<<"p">>, #{})');
  await node.call('omp_client:connect(<<"a">>, #{})');
  await node.call('omp_client:subscribe(<<"a">>, <<"t/#">>, #{qos => 1, rh => 2})');
  const { session } = await engine.next("Subscribed");
  await node.call(publish("kept", "#{retain => true}"));
  return { ...plugin, session };
}

describe("a retained copy in EMQX", { skip }, () => {
  test("passes a gate that closes, also where the live one went into the gate", async (t) => {
    const { node } = await start(t);
    await node.call(behind(`P ! {call, self(), make_ref(), ${SUBSCRIBE}}`));
    assert.equal(await node.call(seen(1)), `[${KEPT}]`);
    assert.equal(await node.call("emqx_hooks:crashes()"), "0");
  });

  test("is not lost when a gate opens", async (t) => {
    const { node, engine, session } = await start(t);
    engine.sendTo(session, { opcode: EngineOpcode.Live, session, topicFilter: "t/#", gate: 1, number: engine.number });
    await node.call(publish("live"));
    await node.call(seen(1));
    await node.call(behind(`emqx_omp_client:ask(${session}, {open, <<"t/#">>, 1})`));
    await node.gatesAreOpen();
    assert.equal(await node.call(seen(2)), `[{<<"t/1">>,1,<<"live">>,[]},${KEPT}]`);
  });
});
