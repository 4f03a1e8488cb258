// Gates in EMQX: while a subscription catches up, nothing that is stored is pushed to it live; from the number of LIVE on, everything
// is, once and in order.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { DroppedReason } from "../../src/emqx/node-frames.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { type ErlangNode, erlangMissing } from "./erlang-node.ts";
import { type Plugin, type PluginOptions, startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
const LASTING = "#{clean_start => false, expiry_interval => 60}";
/** Of a gate, as the document says. */
const KEPT = 64;

const connect = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const subscribe = (name: string, filter: string, options = "#{qos => 1}"): string =>
  `omp_client:subscribe(<<"${name}">>, <<"${filter}">>, ${options})`;
const publish = (payload: string, topic = "t/1", qos = 1): string =>
  `omp_client:publish(<<"p">>, <<"${topic}">>, ${qos}, <<"${payload}">>)`;

/** Payloads that the client has seen. */
async function payloads(node: ErlangNode, name: string): Promise<string[]> {
  const seen = await node.call(`omp_client:seen(<<"${name}">>)`);
  return [...seen.matchAll(/<<"([^"]*)">>,\[/g)].map(([, payload = ""]) => payload);
}

async function seesExactly(node: ErlangNode, name: string, expected: readonly string[]): Promise<void> {
  await waitFor(async () => (await payloads(node, name)).length >= expected.length, {
    what: `${name} sees ${expected.join(", ")}`,
    timeout: 20_000,
  });
  assert.deepEqual(await payloads(node, name), expected);
}

function live({ engine }: Plugin, session: number, topicFilter: string, gate: number, number = engine.number): void {
  engine.sendTo(session, { opcode: EngineOpcode.Live, session, topicFilter, gate, number });
}

/** A client `a` that is subscribed to `t/#`, held, and a publisher `p`. */
async function start(
  t: Parameters<typeof startPlugin>[0],
  options: PluginOptions = {},
): Promise<Plugin & { session: number }> {
  const plugin = await startPlugin(t, ebin, options);
  const { node, engine } = plugin;
  engine.saysLive = false;
  await node.call(connect("p"));
  await node.call(connect("a", LASTING));
  await node.call(subscribe("a", "t/#"));
  const { session, gate } = await engine.next("Subscribed");
  assert.equal(gate, 1);
  return { ...plugin, session };
}

/** A message that is stored, and not sent to anybody yet. */
const stored = (payload: string): string =>
  `emqx_hooks:run_fold('message.publish', [], emqx_message:make(<<"w">>, 1, <<"t/1">>, <<"${payload}">>))`;

/** The processes are gone, which stay for a while after their gates have opened. */
function gatesEnd(node: ErlangNode): Promise<unknown> {
  return waitFor(async () => (await node.call("supervisor:which_children(emqx_omp_gates)")) === "[]", {
    what: "the gates end",
  });
}

/** The gates are about to open. Publishes from now on for the processes that EMQX looked up for it, in this order. */
async function opening({ node }: Plugin, client: string) {
  await node.call("persistent_term:put(gates, [P || {_, P, _, _} <- supervisor:which_children(emqx_omp_gates)])");
  const processes = { gate: "persistent_term:get(gates)", client: `emqx_cm:lookup_channels(<<"${client}">>)` };
  return (payload: string, ...to: readonly (keyof typeof processes)[]): Promise<string> => {
    const pids = to.map((which) => processes[which]).join(" ++ ");
    return node.call(`begin Message = ${stored(payload)}, [P ! {deliver, <<"t/#">>, Message} || P <- ${pids}] end`);
  };
}

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`a gate in EMQX ${release}`, { skip }, () => {
    test("keeps what is stored back until LIVE, and opens a second later", async (t) => {
      const plugin = await start(t, { release, settings: { topics: ["t/+"] } });
      const { node, engine, session } = plugin;
      for (const payload of ["1", "2"]) await node.call(publish(payload));
      await node.call(publish("not stored", "t/1/2"));
      await node.call(publish("QoS 0", "t/1", 0));
      const caughtUp = engine.number;
      for (const payload of ["3", "4"]) await node.call(publish(payload));
      await seesExactly(node, "a", ["not stored", "QoS 0"]);
      live(plugin, session, "t/#", 7, caughtUp);
      live(plugin, session, "other", 1, caughtUp);
      await node.call(publish("5"));
      live(plugin, session, "t/#", 1, caughtUp);
      await seesExactly(node, "a", ["not stored", "QoS 0", "3", "4", "5"]);
      await node.call(publish("6"));
      assert.equal(await node.call("emqx_omp_sessions:gates()"), "1");
      await node.gatesAreOpen();
      await node.call(publish("7"));
      await seesExactly(node, "a", ["not stored", "QoS 0", "3", "4", "5", "6", "7"]);
      assert.equal(await node.call('length(emqx_broker:subscribers(<<"t/#">>))'), "1");
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("passes on what EMQX looked it up for before it opened, and nothing that the client has or had as well", async (t) => {
      const plugin = await start(t, { release });
      const { node, engine, session } = plugin;
      const dispatch = await opening(plugin, "a");
      await node.call(`persistent_term:put(missed, ${stored("missed")})`);
      live(plugin, session, "t/#", 1);
      await node.gatesAreOpen();
      await node.call(publish("1"));
      await node.call('[P ! {deliver, <<"t/#">>, persistent_term:get(missed)} || P <- persistent_term:get(gates)]');
      await dispatch("late", "gate");
      await seesExactly(node, "a", ["1", "late"]);
      await dispatch("both", "client", "gate");
      await node.call(publish("2"));
      await seesExactly(node, "a", ["1", "late", "both", "2"]);
      await gatesEnd(node);
      assert.deepEqual(await payloads(node, "a"), ["1", "late", "both", "2"]);
      assert.deepEqual(engine.all("Dropped"), []);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("passes on nothing late that a full session may hide, or that the client has unsubscribed from", async (t) => {
      const plugin = await start(t, { release });
      const { node, engine } = plugin;
      await node.call('omp_client:unsubscribe(<<"a">>, <<"t/#">>)');
      await node.gatesAreOpen();
      await node.call(connect("b", "#{receive_maximum => 1, acknowledges => false}"));
      await node.call(subscribe("b", "t/#"));
      const { session, gate } = await engine.next("Subscribed", 2);
      const dispatch = await opening(plugin, "b");
      live(plugin, session, "t/#", gate);
      await node.gatesAreOpen();
      await node.call(publish("1"));
      // It waits behind the first.
      await dispatch("2", "client", "gate");
      await seesExactly(node, "b", ["1"]);
      await node.call('omp_client:acknowledge(<<"b">>)');
      await seesExactly(node, "b", ["1", "2"]);
      await node.call('omp_client:unsubscribe(<<"b">>, <<"t/#">>)');
      await dispatch("3", "gate");
      await gatesEnd(node);
      assert.deepEqual(await payloads(node, "b"), ["1", "2"]);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("tells what it could not keep", async (t) => {
      const plugin = await start(t, { release });
      const { node, engine, session } = plugin;
      const first = engine.number + 1;
      const count = KEPT + 10;
      for (let i = 1; i <= count; i++) await node.call(publish(String(i)));
      live(plugin, session, "t/#", 1, first);
      const missed = await engine.next("Missed");
      assert.deepEqual([missed.topicFilter, missed.above, missed.upTo], ["t/#", first, engine.number - KEPT]);
      await seesExactly(
        node,
        "a",
        Array.from({ length: KEPT }, (_, i) => String(count - KEPT + 1 + i)),
      );
    });

    test("stays closed under its number when the client subscribes again, and is none for a live one", async (t) => {
      const plugin = await start(t, { release });
      const { node, engine, session } = plugin;
      await node.call(subscribe("a", "t/#", "#{qos => 2}"));
      const again = await engine.next("Subscribed", 2);
      assert.deepEqual([again.gate, again.isNew, again.subscription?.qos], [1, false, 2]);
      await node.call(publish("kept back"));
      live(plugin, session, "t/#", 1);
      await node.call(publish("1"));
      await seesExactly(node, "a", ["1"]);
      await node.call(subscribe("a", "t/#"));
      assert.equal((await engine.next("Subscribed", 3)).gate, 0);
      await node.call(publish("2"));
      await node.gatesAreOpen();
      await node.call(subscribe("a", "t/#"));
      assert.equal((await engine.next("Subscribed", 4)).gate, 0);
      await node.call(publish("3"));
      await seesExactly(node, "a", ["1", "2", "3"]);
      await node.call('omp_client:unsubscribe(<<"a">>, <<"t/#">>)');
      await node.call(subscribe("a", "t/#"));
      assert.equal((await engine.next("Subscribed", 5)).gate, 2);
    });

    test("goes with an unsubscribe, and with its client", async (t) => {
      const plugin = await start(t, { release });
      const { node, engine } = plugin;
      await node.call('omp_client:unsubscribe(<<"a">>, <<"t/#">>)');
      await engine.next("Unsubscribed");
      assert.equal(await node.call('emqx_broker:subscribers(<<"t/#">>)'), "[]");
      await node.gatesAreOpen();
      await node.call(subscribe("a", "t/#"));
      await node.call('omp_client:kill(<<"a">>)');
      await node.gatesAreOpen();
    });

    test("closes for the subscriptions of a resumed session, before the client is told", async (t) => {
      const plugin = await start(t, { release });
      const { node, engine, session } = plugin;
      await node.call(subscribe("a", "$share/g/s"));
      live(plugin, session, "t/#", 1);
      await node.gatesAreOpen();
      await node.call(connect("a", LASTING));
      const resumed = await engine.next("Connected", 3);
      const { gate = 0 } = resumed.subscriptions.find(({ subscription }) => subscription?.topicFilter === "t/#") ?? {};
      assert.ok(gate > 0);
      assert.deepEqual(
        resumed.subscriptions.map(({ gate, subscription }) => [subscription?.topicFilter, gate]).sort(),
        [
          ["$share/g/s", 0],
          ["t/#", gate],
        ],
      );
      await node.call(publish("kept back"));
      const caughtUp = engine.number;
      await node.call(publish("1"));
      live(plugin, resumed.session, "t/#", gate, caughtUp);
      await seesExactly(node, "a", ["1"]);
    });

    test("that fails makes way: the client has its subscription, and the engine knows what is missed", async (t) => {
      const { node, engine, session } = await start(t, { release });
      await node.call(publish("never logged"));
      await node.call(
        `begin [{_, G, _, _}] = supervisor:which_children(emqx_omp_gates), gen_server:cast(G, wrong) end`,
      );
      const missed = await engine.next("Missed");
      assert.deepEqual([missed.session, missed.topicFilter, missed.above, missed.upTo], [session, "t/#", 0, 2 ** 64]);
      await node.call(publish("1"));
      await seesExactly(node, "a", ["1"]);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
      assert.ok((await node.wholeLog()).length > 1 && !node.child.stderr.includes("never logged"), node.child.stderr);
    });

    test("that is too slow does not stand in for the client when it has come to it", async (t) => {
      const { node, engine } = await start(t, { release });
      await node.call("register(gate, element(2, hd(supervisor:which_children(emqx_omp_gates))))");
      await node.call("sys:suspend(gate)");
      await node.call(subscribe("a", "other/#"));
      const { gate } = await engine.next("Subscribed", 2);
      assert.equal(gate, 0);
      await node.call("sys:resume(gate)");
      // All that it was asked before has been done when it answers.
      await node.call("sys:get_status(gate)");
      assert.equal(
        await node.call('emqx_broker:subscribers(<<"other/#">>) =:= emqx_cm:lookup_channels(<<"a">>)'),
        "true",
      );
      await node.call(publish("never twice", "other/1", 0));
      await node.call(publish("1", "other/1"));
      await seesExactly(node, "a", ["never twice", "1"]);
    });

    test("opens when the plugin is stopped", async (t) => {
      const { node } = await start(t, { release });
      await node.call(publish("in the store"));
      await node.stop();
      assert.equal(await node.call("emqx_hooks:callbacks()"), "[]");
      await node.call(publish("1"));
      await seesExactly(node, "a", ["1"]);
    });

    test("passes nothing on that has no number yet, and says so", async (t) => {
      const { node, engine } = await start(t, { release, settings: { asyncPublishAck: true } });
      await node.call(publish("1"));
      const [published] = engine.all("Publish");
      const dropped = await engine.next("Dropped");
      assert.deepEqual([dropped.reason, dropped.id], [DroppedReason.GateClosed, published?.message.id]);
    });

    test("is not there for subscriptions that are not one client's, or when nothing is stored", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(connect("a"));
      for (const filter of ["$share/g/t", "$exclusive/t"]) await node.call(subscribe("a", filter));
      assert.deepEqual((await engine.next("Subscribed", 2)).gate + (await engine.next("Subscribed")).gate, 0);
      const idle = await startPlugin(t, ebin, { release, settings: { topics: [] } });
      await idle.node.call(connect("a"));
      await idle.node.call(subscribe("a", "t"));
      assert.equal((await idle.engine.next("Subscribed")).gate, 0);
    });
  });
}

describe("a gate in EMQX 5", { skip }, () => {
  test("keeps what is stored out of the queue of a session that is away, until the engine knows", async (t) => {
    const plugin = await start(t, { release: "5.8.0", settings: { topics: ["t/+"] } });
    const { node, engine, session } = plugin;
    await node.call(connect("b", LASTING));
    await node.call(subscribe("b", "t/1"));
    const held = await engine.next("Subscribed", 2);
    live(plugin, held.session, "t/1", held.gate);
    live(plugin, session, "t/#", 1);
    await node.gatesAreOpen();
    await node.call('omp_client:disconnect(<<"b">>)');
    await engine.next("Disconnected");
    await node.call(publish("1"));
    const dropped = await engine.next("Dropped");
    assert.deepEqual([dropped.session, dropped.reason], [held.session, DroppedReason.Away]);
    engine.sendTo(held.session, { opcode: EngineOpcode.Release, session: held.session, number: engine.number + 1 });
    await waitFor(
      async () =>
        (await node.call('element(2, process_info(hd(emqx_cm:lookup_channels(<<"b">>)), dictionary))')).includes(
          "released",
        ),
      { what: "RELEASE in the client's process" },
    );
    // It was numbered before the engine knew, and has been on its way since then.
    await node.call(publish("late"));
    assert.equal((await engine.next("Dropped", 2)).session, held.session);
    await node.call(publish("2"));
    await node.call(publish("QoS 0", "t/1", 0));
    await seesExactly(node, "a", ["1", "late", "2", "QoS 0"]);
    await node.call(connect("b", LASTING));
    const resumed = await engine.next("Connected", 4);
    assert.deepEqual(resumed.unacknowledged, []);
    await seesExactly(node, "b", ["QoS 0"]);
    assert.equal(engine.all("Dropped").length, 2);
  });
});

describe("a gate in EMQX 5 whose client is away", { skip }, () => {
  test("does not open when its time comes", async (t) => {
    const plugin = await start(t, { release: "5.8.0" });
    const { node, engine, session } = plugin;
    await node.call(publish("missed"));
    live(plugin, session, "t/#", 1);
    await node.call('omp_client:disconnect(<<"a">>)');
    // What the gate would ask for a second after LIVE.
    await node.call(`begin emqx_omp_client:ask(${session}, {open, <<"t/#">>, 1}), omp_client:seen(<<"a">>) end`);
    await node.call(publish("1"));
    assert.equal((await engine.next("Dropped")).reason, DroppedReason.Away);
    assert.equal(await node.call("emqx_omp_sessions:gates()"), "1");
    await node.call(connect("a", LASTING));
    await engine.next("Connected", 3);
    assert.deepEqual(await payloads(node, "a"), []);
  });

  for (const [how, crash] of [
    ["adopted", ""],
    ["failed", "begin [{_, Gate, _, _}] = supervisor:which_children(emqx_omp_gates), exit(Gate, kill) end"],
  ] as const) {
    test(`closes again for a session whose gate has ${how}`, async (t) => {
      const plugin = await start(t, { release: "5.8.0" });
      const { node, engine } = plugin;
      await node.call('omp_client:disconnect(<<"a">>)');
      await engine.next("Disconnected");
      if (crash === "") {
        await node.stop();
        await node.start();
        await node.isWell();
      } else {
        await node.call(crash);
      }
      await waitFor(
        async () => {
          const owners = await node.call(
            '[hd(emqx_cm:lookup_channels(<<"a">>)) =:= P || P <- emqx_broker:subscribers(<<"t/#">>)]',
          );
          const gates = await node.call("catch emqx_omp_sessions:gates()");
          return owners === "[false]" && gates === "1";
        },
        { what: "a gate in its place" },
      );
      await node.call(publish("1"));
      assert.equal((await engine.next("Dropped")).reason, DroppedReason.Away);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });
  }
});

describe("a gate in EMQX whose client goes", { skip }, () => {
  for (const [release, how] of [
    ["5.8.0", 'omp_client:disconnect(<<"a">>)'],
    ["6.0.1", connect("a", LASTING)],
    ["6.0.1", 'omp_client:unsubscribe(<<"a">>, <<"t/#">>)'],
  ] as const) {
    test(`tells what it kept: LIVE may have been on its way (${release}, ${how})`, async (t) => {
      const { node, engine, session } = await start(t, { release });
      for (const payload of ["1", "2"]) await node.call(publish(payload));
      await node.call(how);
      const ids = engine.all("Publish").map(({ message }) => message.id);
      await engine.next("Dropped", 2);
      assert.deepEqual(
        engine.all("Dropped").map((dropped) => [dropped.session, dropped.id]),
        ids.map((id) => [session, id]),
      );
    });
  }

  test("tells what came to the client just before", async (t) => {
    const plugin = await start(t, { release: "5.8.0" });
    const { node, engine, session } = plugin;
    live(plugin, session, "t/#", 1);
    await node.gatesAreOpen();
    // Many at once, so that some are in the client's mailbox when it goes.
    const all = node.call(
      `begin Self = self(), [spawn(fun() -> emqx_broker:publish(emqx_message:make(<<"w">>, 1, <<"t/1">>, integer_to_binary(N))),
        Self ! done end) || N <- lists:seq(1, 300)], [receive done -> ok end || _ <- lists:seq(1, 300)], ok end`,
    );
    await engine.next("Publish", 50);
    await node.call('omp_client:disconnect(<<"a">>)');
    await all;
    // One whose dispatch was begun before the gate closed, and came after it, waits in the session's queue. The gate may
    // have had it as well.
    const dictionary = 'element(2, process_info(hd(emqx_cm:lookup_channels(<<"a">>)), dictionary))';
    // Of its record, as omp_client.erl has it.
    const queue = `element(7, proplists:get_value(client, ${dictionary}))`;
    const ids = `[binary_to_list(binary:encode_hex(emqx_message:id(M))) || M <- ${queue}]`;
    const queued = async (): Promise<string[]> => (await node.call(ids)).match(/[0-9A-F]{32}/g) ?? [];
    const told = (): string[] => [...engine.all("Dropped"), ...engine.all("Acked")].map(({ id }) => id);
    await waitFor(async () => new Set([...told(), ...(await queued())]).size === 300, {
      what: "each is acknowledged, dropped or queued",
      timeout: 20_000,
    });
    assert.ok((await queued()).length < 10, "these are few");
  });
});

describe("gates in EMQX", { skip }, () => {
  test("lose nothing above the number of LIVE, whenever it comes, and repeat next to nothing", {
    timeout: 120_000,
  }, async (t) => {
    const random = seededRandom("gates and LIVE");
    const plugin = await startPlugin(t, ebin);
    const { node, engine } = plugin;
    engine.saysLive = false;
    const subscribers = ["a", "b", "c"];
    const rounds = 6;
    let copies = 0;
    let all = 0;
    for (const name of subscribers) await node.call(connect(name, "#{receive_maximum => 1000}"));
    for (let round = 1; round <= rounds; round++) {
      const before = engine.all("Subscribed").length;
      const seenBefore = new Map<string, number>();
      for (const name of subscribers) seenBefore.set(name, (await payloads(node, name)).length);
      const numbers = new Map<string, number>();
      engine.outcome = ({ message }) => {
        const outcome = engine.stored();
        numbers.set(Buffer.from(message.payload).toString(), engine.number);
        return outcome;
      };
      const filter = random.pick(["t/#", "t/+", "t/1"]);
      const publishing = node.call(
        `begin Self = self(), [spawn(fun() -> [begin timer:sleep(rand:uniform(50)), emqx_broker:publish(emqx_message:make(
          integer_to_binary(P), 1, <<"t/1">>, iolist_to_binary([integer_to_list(P), $-, integer_to_list(N)]))) end
          || N <- lists:seq(1, 60)], Self ! done end) || P <- lists:seq(1, 5)],
          [receive done -> ok end || _ <- lists:seq(1, 5)], ok end`,
        60_000,
      );
      for (const name of subscribers) await node.call(subscribe(name, filter));
      const limits = new Map<string, number>();
      const told = engine.all("Subscribed").slice(before);
      assert.equal(told.length, subscribers.length);
      for (const [i, { session, gate }] of told.entries()) {
        await waitFor(() => numbers.size >= random.below(150), { what: "some publishes" });
        limits.set(subscribers[i] ?? "", engine.number);
        live(plugin, session, filter, gate);
      }
      await publishing;
      for (const name of subscribers) {
        const above = [...numbers].filter(([, number]) => number > (limits.get(name) ?? 0)).map(([payload]) => payload);
        const start = seenBefore.get(name) ?? 0;
        // Gates have opened while messages were published.
        await node.gatesAreOpen();
        const seen = (await payloads(node, name)).slice(start);
        assert.deepEqual(
          above.filter((payload) => !seen.includes(payload)),
          [],
          `lost for ${name} in round ${round}`,
        );
        copies += seen.length - above.length;
        all += above.length;
        await node.call(`omp_client:unsubscribe(<<"${name}">>, <<"${filter}">>)`);
      }
    }
    assert.deepEqual(engine.all("Missed"), []);
    // A dispatch that goes on while a gate closes or opens: the more often the fewer processors there are.
    assert.ok(copies <= all / 50, `${copies} second copies of ${all}`);
    t.diagnostic(`${copies} second copies of ${all}`);
    assert.equal(await node.call("emqx_hooks:crashes()"), "0");
  });
});
