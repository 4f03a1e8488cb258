// publish_ack = "async": EMQX routes at once, and only PUBACK waits for the store.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Answer, EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { DroppedReason } from "../../src/emqx/node-frames.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { type Outcome, type Plugin, startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
const settings = { asyncPublishAck: true } as const;
const connect = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const publish = (name: string, qos = 1): string => `omp_client:publish(<<"${name}">>, <<"t">>, ${qos}, <<"x">>)`;

/** A publish of `p`, session 1, without an answer yet; settles with its number and what its publisher will see. */
async function held({ node, engine }: Plugin, count = 1): Promise<{ request: number; seen: Promise<string> }> {
  const seen = node.call(publish("p"));
  const { request, routed } = await engine.next("Publish", count);
  assert.equal(routed, true);
  await waitFor(async () => (await node.call('omp_client:held(<<"p">>)')) === "1", { what: "PUBACK is held back" });
  return { request, seen };
}

async function start(t: Parameters<typeof startPlugin>[0], version = 5, more = {}): Promise<Plugin> {
  const plugin = await startPlugin(t, ebin, { settings: { ...settings, ...more } });
  plugin.engine.outcome = () => undefined;
  await plugin.node.call(connect("p", `#{version => ${version}}`));
  return plugin;
}

function answer({ engine }: Plugin, request: number, outcome: Outcome): void {
  engine.connectionOf(1).answer({ request, ...outcome } as Answer);
}

describe("publish_ack = async", { skip }, () => {
  test("routes before it is stored, and holds PUBACK until then", async (t) => {
    const plugin = await start(t);
    const { node, engine } = plugin;
    await node.call(connect("s"));
    await node.call('omp_client:subscribe(<<"s">>, <<"t">>, #{qos => 1})');
    // Until then a gate stands in for it, which keeps what has no number out.
    await node.gatesAreOpen();
    const { request, seen } = await held(plugin);
    assert.equal(await node.call('omp_client:wait_for(<<"s">>, 1)'), '[{<<"t">>,1,<<"x">>,[]}]');
    await engine.next("Acked");
    answer(plugin, request, engine.stored());
    assert.equal(await seen, "{puback,0}");
    assert.equal(await node.call("{ets:tab2list(emqx_omp_pubacks), emqx_hooks:crashes()}"), "{[],0}");
  });

  test("sends PUBACK as well when the answer comes first", async (t) => {
    const plugin = await start(t);
    plugin.engine.outcome = () => plugin.engine.stored();
    for (let i = 0; i < 50; i++) assert.equal(await plugin.node.call(publish("p")), "{puback,16}");
  });

  test("tells a refusal: its reason code, or the end of the connection", async (t) => {
    for (const [version, expected] of [
      [5, "{puback,131}"],
      [4, "disconnected"],
    ] as const) {
      const plugin = await start(t, version);
      const { request, seen } = await held(plugin);
      answer(plugin, request, { result: "refused", temporary: true, acknowledge: false, reasonCode: 0x83, delay: 20 });
      assert.equal(await seen, expected);
    }
  });

  test("decides without the engine when the time is up, and when the link breaks", async (t) => {
    const slow = await start(t, 5, { timeout: 100 });
    assert.equal(await (await held(slow)).seen, "{puback,131}");
    const broken = await start(t, 5, { ignoreStoreErrors: true });
    const { seen } = await held(broken);
    broken.engine.links[0]?.close(new Error("of the test"));
    assert.equal(await seen, "{puback,16}");
    assert.equal(await broken.node.call("ets:tab2list(emqx_omp_pubacks)"), "[]");
  });

  test("sends PUBACK also when message.puback comes after its time, and remembers nothing", async (t) => {
    const plugin = await start(t, 5, { timeout: 100 });
    const { node, engine } = plugin;
    const ask = `{asked, C, T} = emqx_omp_publishes:publish_async(<<"p">>, emqx_omp_emqx:message(
      emqx_message:make(emqx_guid:gen(), <<"p">>, 1, <<"t">>, <<"x">>, #{}, #{})))`;
    const puback = "emqx_omp_publishes:puback(C, T, 5, {7, [], 0}), receive {puback, 7, [], Code} -> Code end";
    // Its record in the process of the connection: publishes that are waited for, early answers, deadlines.
    const publishes =
      "P = element(14, sys:get_state(C)), {map_size(element(7, P)), map_size(element(8, P)), element(9, P)}";
    const timeIsUp = `W = fun(W) -> case begin ${publishes} end of {_, _, {[], []}} -> ok; _ -> timer:sleep(5), W(W) end end, W(W)`;
    engine.outcome = () => engine.stored();
    assert.equal(await node.call(`begin ${ask}, ${timeIsUp}, ${puback} end`), "131");
    engine.outcome = () => undefined;
    await node.call(`begin ${ask}, persistent_term:put(connection, C), ${timeIsUp} end`);
    answer(plugin, (await engine.next("Publish", 2)).request, engine.stored());
    const state = `begin C = persistent_term:get(connection), ${publishes} end`;
    await waitFor(async () => (await node.call(state)) === "{0,0,{[],[]}}", { what: "nothing is remembered" });
  });

  test("lets QoS 2 wait, and QoS 1 too where the window is full", async (t) => {
    const plugin = await startPlugin(t, ebin, { settings, link: { limits: { windowPublishes: 1 } } });
    const { node, engine } = plugin;
    engine.outcome = () => undefined;
    await node.call(connect("p"));
    const second = node.call(publish("p", 2));
    assert.equal((await engine.next("Publish")).routed, false);
    engine.outcome = () => engine.stored();
    answer(plugin, 0, engine.stored());
    assert.equal(await second, "{pubrec,16}");
    engine.outcome = () => undefined;
    const { request, seen } = await held(plugin, 2);
    // A will of the same client goes on the same connection, and finds the window full.
    const busy = node.call(
      `emqx_broker:publish(emqx_message:make(emqx_guid:gen(), <<"p">>, 1, <<"t">>, <<"y">>, #{}, #{protocol => mqtt, proto_ver => 5}))`,
    );
    await waitFor(
      async () =>
        (
          await node.call("[counters:get(L, 2) || {_, _, _, {L, _, _}, _} <- ets:tab2list(emqx_omp_connections)]")
        ).includes("2"),
      {
        what: "a second publish waits",
      },
    );
    answer(plugin, request, engine.stored());
    assert.equal(await seen, "{puback,16}");
    const third = await engine.next("Publish", 3);
    assert.equal(third.routed, false);
    answer(plugin, third.request, engine.stored());
    assert.equal(await busy, "[]");
  });

  test("a gate passes on what was asked for after LIVE, and nothing from before", async (t) => {
    const plugin = await start(t);
    const { node, engine } = plugin;
    engine.saysLive = false;
    await node.call(connect("a"));
    await node.call('omp_client:subscribe(<<"a">>, <<"t">>, #{qos => 1})');
    const { session, gate } = await engine.next("Subscribed");
    const early = await held(plugin);
    const { reason } = await engine.next("Dropped");
    assert.equal(reason, DroppedReason.GateClosed);
    answer(plugin, early.request, engine.stored());
    await early.seen;
    engine.sendTo(session, { opcode: EngineOpcode.Live, session, topicFilter: "t", gate, number: engine.number });
    await waitFor(async () => (await node.call("ets:tab2list(emqx_omp_subscriptions)")).includes('<<"t">>},0,'), {
      what: "LIVE",
    });
    const late = await held(plugin, 2);
    await node.call('omp_client:wait_for(<<"a">>, 1)');
    answer(plugin, late.request, engine.stored());
    await late.seen;
    assert.equal(engine.all("Dropped").length, 1);
  });
});
