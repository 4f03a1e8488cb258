// Ways of EMQX that are easily overlooked: other clusters, nodes that are emptied, what a node knows late, and what ends late.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runErlang } from "../support/erlang.ts";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
const LASTING = "#{clean_start => false, expiry_interval => 60}";
const connect = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const subscribe = (name: string, filter: string): string =>
  `omp_client:subscribe(<<"${name}">>, <<"${filter}">>, #{qos => 1})`;
const publish = (payload: string, topic = "t"): string =>
  `omp_client:publish(<<"p">>, <<"${topic}">>, 1, <<"${payload}">>)`;
const payloads = (name: string, count: number): string =>
  `[Payload || {_, _, Payload, _} <- omp_client:wait_for(<<"${name}">>, ${count})]`;

describe("Cluster Linking", { skip }, () => {
  /** A message as the other cluster's plugin has marked it: as this one's. */
  const marked = `emqx_hooks:run_fold('message.publish', [],
    emqx_message:make(emqx_guid:gen(), <<"far">>, 1, <<"t">>, <<"far">>, #{}, #{}))`;

  for (const [kind, isAsync] of [
    ["stored", false],
    ["not answered yet", true],
  ] as const) {
    test(`can send what is ${kind} to a cluster without the plugin`, async (t) => {
      const { node } = await startPlugin(t, ebin, { settings: { asyncPublishAck: isAsync } });
      const headers = isAsync ? "#{protocol => mqtt, proto_ver => 5}" : "#{}";
      const message = `emqx_hooks:run_fold('message.publish', [],
        emqx_message:make(emqx_guid:gen(), <<"p">>, 1, <<"t">>, <<"1">>, #{}, ${headers}))`;
      const ours = `maps:without([protocol, proto_ver], emqx_message:get_headers(${message}))`;
      assert.equal(await node.call(`map_size(${ours})`), "1");
      const bytes = (await node.call(`base64:encode(term_to_binary(${ours}))`)).slice(3, -3);
      // An Erlang that has never seen the plugin refuses its atoms.
      const decode = `binary_to_term(base64:decode("${bytes}"), [safe]), halt(0).`;
      await runErlang("erl", ["-noshell", "-eval", decode]);
    });
  }

  test("brings what another cluster has stored: here it is none of ours", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.saysLive = false;
    for (const name of ["held", "away"]) {
      await node.call(connect(name, LASTING));
      await node.call(subscribe(name, "t"));
    }
    await node.call('omp_client:disconnect(<<"away">>)');
    await node.call(`emqx_broker:route(emqx_message:linked(<<"far">>, ${marked}))`);
    assert.equal(await node.call(payloads("held", 1)), '[<<"far">>]');
    await node.call(connect("away", LASTING));
    assert.equal(await node.call(payloads("away", 1)), '[<<"far">>]');
    assert.deepEqual([...engine.all("Dropped"), ...engine.all("Acked")], []);
  });
});

describe("a session in EMQX 6", { skip }, () => {
  test("whose window is full queues, whatever the cluster knows of it yet", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    await node.call(connect("p"));
    await node.call(connect("a", "#{acknowledges => false, receive_maximum => 1}"));
    await node.call(subscribe("a", "t"));
    await node.gatesAreOpen();
    await node.call("emqx_stand_ins:set(is_registry_late, true)");
    for (const payload of ["1", "2"]) await node.call(publish(payload));
    await node.call('omp_client:acknowledge(<<"a">>)');
    assert.equal(await node.call(payloads("a", 2)), '[<<"1">>,<<"2">>]');
    assert.deepEqual(engine.all("Dropped"), []);
  });

  test("that waits on another node than before keeps what is stored out of its queue", async (t) => {
    const { node } = await startPlugin(t, ebin, { settings: { topics: ["t"] } });
    await node.call(connect("p"));
    const evicted = 'omp_rare:evicted(<<"a">>, #{<<"t">> => #{qos => 1}, <<"other">> => #{qos => 1}})';
    await node.call(`register(evicted, ${evicted})`);
    await node.call(publish("stored"));
    await node.call(publish("not stored", "other"));
    assert.equal(await node.call("omp_rare:queued(whereis(evicted))"), '[<<"not stored">>]');
    assert.equal(await node.call("emqx_hooks:crashes()"), "0");
  });
});

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`EMQX ${release}`, { skip }, () => {
    test("has the options of a durable session's subscriptions deeper down", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call('omp_rare:durable(<<"a">>, #{<<"t">> => #{qos => 2, nl => 1, rap => 1, rh => 0}})');
      const { resumed, subscriptions } = await engine.next("Connected");
      assert.equal(resumed, true);
      assert.deepEqual(
        subscriptions.map(({ gate, subscription }) => [gate, subscription?.qos, subscription?.noLocal]),
        [[0, 2, true]],
      );
    });

    test("shows whose a subscription is that a gate has", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      engine.saysLive = false;
      await node.call(connect("a"));
      await node.call(subscribe("a", "t"));
      await engine.next("Subscribed");
      const options = '[maps:get(subid, Options) || {{<<"t">>, _}, Options} <- ets:tab2list(emqx_suboption)]';
      assert.equal(await node.call(options), '[<<"a">>]');
      assert.equal(await node.call('length(emqx_broker:subscribers(<<"t">>))'), "1");
    });

    test("gives a member of a group its messages for the group's filter, and no gate takes them", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      engine.saysLive = false;
      engine.outcome = () => engine.stored(true);
      await node.call(connect("p"));
      await node.call(connect("a"));
      await node.call(subscribe("a", "$share/g/t"));
      // The message is in the mailbox when the gate closes for the client's own subscription.
      await node.call(`begin [P] = emqx_cm:lookup_channels(<<"a">>), erlang:suspend_process(P),
        P ! {call, self(), make_ref(), {subscribe, <<"t">>, #{qos => 1}}}, ${publish("1")},
        erlang:resume_process(P) end`);
      await engine.next("Subscribed", 2);
      assert.equal(await node.call(payloads("a", 1)), '[<<"1">>]');
    });

    test("takes hooks out later than it is asked to: the application waits until it has", async (t) => {
      const { node } = await startPlugin(t, ebin, { release });
      await node.call(connect("p"));
      await node.call("emqx_stand_ins:set(hooks_take, 20)");
      await node.stop();
      assert.equal(await node.call(publish("1")), "{puback,16}");
      assert.deepEqual(
        (await node.wholeLog()).filter((line) => line.includes("failed")),
        [],
      );
    });
  });
}
