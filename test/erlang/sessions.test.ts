// Sessions in EMQX: what the engine is told of them, what it does to them, and that all is told again after a link broke.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { DroppedReason } from "../../src/emqx/node-frames.ts";
import type { Message } from "../../src/mqtt/message.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { type Plugin, startPlugin, startScriptedEngine } from "./scripted-engine.ts";

const skip = erlangMissing;
const NOW = 1_790_000_000_000;
const ID = "0005F5E1A3B2C4D5F44D000012AB0000";

function stored(topic: string, id = ID, more: Partial<Message> = {}): Message {
  return { id, from: "p", topic, qos: 1, retain: false, payload: Buffer.from("stored"), timestamp: NOW, ...more };
}

const connect = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const subscribe = (name: string, filter: string, options = "#{qos => 1}"): string =>
  `omp_client:subscribe(<<"${name}">>, <<"${filter}">>, ${options})`;
const seen = (name: string, count: number): string => `omp_client:wait_for(<<"${name}">>, ${count})`;
const LASTING = "#{clean_start => false, expiry_interval => 60}";

function deliver(
  { engine }: Plugin,
  session: number,
  topicFilter: string,
  message: Message,
  mayBeRetained = false,
): void {
  const frame = { opcode: EngineOpcode.Deliver, session, topicFilter, mayBeRetained, message, now: NOW } as const;
  engine.sendTo(session, frame);
}

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`sessions in EMQX ${release}`, { skip }, () => {
    test("are told with what they are and what they subscribe to, until they end", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(
        connect(
          "a",
          `#{version => 5, receive_maximum => 7, expiry_interval => 60,
        conn_props => #{'Maximum-Packet-Size' => 1000}}`,
        ),
      );
      const { connectedAt, ...connected } = await engine.next("Connected");
      assert.ok(Math.abs(connectedAt - Date.now()) < 60_000);
      const { session } = connected;
      assert.deepEqual(connected, {
        opcode: 0x10,
        session,
        resumed: false,
        clientIdAssigned: false,
        outlives: true,
        toldAgain: false,
        away: false,
        protocolVersion: 5,
        receiveMaximum: 7,
        maximumPacketSize: 1000,
        clientId: "a",
        subscriptions: [],
        unacknowledged: [],
      });
      await node.call(subscribe("a", "$share/g/t/#", "#{qos => 2, nl => 0, rap => 1, rh => 2, subid => 5}"));
      const { subscription, isNew, gate } = await engine.next("Subscribed");
      assert.deepEqual([isNew, gate], [true, 0]);
      assert.deepEqual(subscription, {
        topicFilter: "$share/g/t/#",
        qos: 2,
        noLocal: false,
        retainAsPublished: true,
        retainHandling: 2,
        subscriptionIdentifier: 5,
      });
      await node.call('omp_client:unsubscribe(<<"a">>, <<"$share/g/t/#">>)');
      assert.equal((await engine.next("Unsubscribed")).topicFilter, "$share/g/t/#");
      await node.call('omp_client:disconnect(<<"a">>)');
      assert.deepEqual(await engine.next("Disconnected"), { opcode: 0x11, session, livesOn: true });
      await node.call('omp_client:stop(<<"a">>, expired)');
      assert.deepEqual(await engine.next("Ended"), { opcode: 0x12, session });
      assert.equal(engine.all("Disconnected").length, 1);
      await node.call(connect("", "#{version => 4}"));
      const assigned = await engine.next("Connected", 2);
      assert.deepEqual([assigned.clientIdAssigned, assigned.clientId, assigned.protocolVersion], [true, "made-up", 4]);
      await node.call(connect("sn", "#{protocol => 'mqtt-sn'}"));
      await node.call('omp_client:disconnect(<<"sn">>)');
      assert.equal(engine.all("Connected").length, 2);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("that are taken over, discarded, or killed are told as such", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(connect("a", LASTING));
      await node.call(subscribe("a", "t"));
      await node.call(connect("a", LASTING));
      const second = await engine.next("Connected", 2);
      assert.equal(second.resumed, true);
      assert.deepEqual(
        second.subscriptions.map(({ subscription }) => subscription?.topicFilter),
        ["t"],
      );
      const [first] = engine.all("Connected");
      assert.deepEqual(engine.all("Disconnected"), [{ opcode: 0x11, session: first?.session, livesOn: true }]);
      assert.deepEqual(engine.all("Ended"), []);
      await node.call(connect("a", "#{clean_start => true}"));
      assert.equal((await engine.next("Ended")).session, second.session);
      const third = await engine.next("Connected", 3);
      assert.equal(third.resumed, false);
      await node.call('omp_client:kill(<<"a">>)');
      assert.equal((await engine.next("Ended", 2)).session, third.session);
      assert.deepEqual(await engine.next("Disconnected", 3), { opcode: 0x11, session: third.session, livesOn: false });
      assert.equal(
        await node.call(
          "[ets:info(T, size) || T <- [emqx_omp_sessions, emqx_omp_subscriptions, emqx_omp_unacknowledged]]",
        ),
        "[0,0,0]",
      );
    });

    test("get what the engine delivers, and tell that it is acknowledged", async (t) => {
      const plugin = await startPlugin(t, ebin, { release });
      const { node, engine } = plugin;
      await node.call(connect("a"));
      await node.call(subscribe("a", "t/+", "#{qos => 2}"));
      const { session } = await engine.next("Subscribed");
      const properties = {
        contentType: "c",
        userProperties: [
          ["b", "2"],
          ["a", "1"],
        ] as const,
      };
      deliver(plugin, session, "t/+", stored("t/1", ID, { properties: properties as never }));
      assert.equal(await node.call(seen("a", 1)), '[{<<"t/1">>,1,<<"stored">>,[]}]');
      assert.deepEqual(await engine.next("Acked"), { opcode: 0x15, session, id: ID, topic: "t/1" });
      deliver(plugin, session, "none", stored("none"));
      assert.deepEqual(await engine.next("Dropped"), {
        ...{ opcode: 0x17, session, reason: DroppedReason.NoSession, id: ID, topic: "none" },
      });
    });

    test("that are away are not delivered to", async (t) => {
      const plugin = await startPlugin(t, ebin, { release });
      const { node, engine } = plugin;
      await node.call(connect("a", LASTING));
      await node.call(subscribe("a", "t"));
      await node.call('omp_client:disconnect(<<"a">>)');
      const { session } = await engine.next("Disconnected");
      deliver(plugin, session, "t", stored("t"));
      assert.equal((await engine.next("Dropped")).reason, DroppedReason.Away);
    });

    test("tell what a QoS 0 subscription was sent from the store, and what was retained", async (t) => {
      const plugin = await startPlugin(t, ebin, { release });
      const { node, engine } = plugin;
      await node.call(connect("p"));
      await node.call('omp_client:publish(<<"p">>, <<"t/1">>, 1, <<"kept">>, #{retain => true})');
      await node.call(connect("a"));
      await node.call(subscribe("a", "t/+", "#{qos => 0}"));
      await node.call(seen("a", 1));
      const retained = await engine.next("Delivered");
      assert.deepEqual([retained.qos, retained.retained, retained.replayed], [0, true, false]);
      deliver(plugin, retained.session, "t/+", stored("t/2"));
      const replayed = await engine.next("Delivered", 2);
      assert.deepEqual([replayed.qos, replayed.retained, replayed.replayed, replayed.id], [0, false, true, ID]);
    });

    test("are not sent again what is on its way as retained", async (t) => {
      const plugin = await startPlugin(t, ebin, { release });
      const { node, engine } = plugin;
      await node.call(connect("p"));
      await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"kept">>, #{retain => true})');
      const { message } = await engine.next("Publish");
      await node.call(connect("a"));
      await node.call(subscribe("a", "t"));
      const { session } = await engine.next("Subscribed");
      deliver(plugin, session, "t", message, true);
      deliver(plugin, session, "t", stored("t"));
      assert.match(
        await node.call(seen("a", 2)),
        /^\[\{<<"t">>,1,<<"kept">>,\[retain\]\},\{<<"t">>,1,<<"stored">>,\[\]\}\]$/,
      );
    });

    test("tell for a while after they subscribe what they were pushed, and of shared ones always if asked", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(connect("a"));
      await node.call(connect("p"));
      await node.call(subscribe("a", "t"));
      await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"1">>)');
      await engine.next("Delivered");
      const { session } = await engine.next("Acked");
      engine.outcome = () => engine.stored(true);
      await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"2">>)');
      const delivered = await engine.next("Delivered", 2);
      assert.deepEqual([delivered.session, delivered.replayed], [session, false]);
    });

    test("get their subscriptions back where they are allowed, without the mountpoint", async (t) => {
      const plugin = await startPlugin(t, ebin, { release });
      const { node, engine } = plugin;
      await node.call('emqx_stand_ins:set(denied, [<<"secret">>])');
      await node.call(connect("a", '#{mountpoint => <<"m/">>}'));
      const { session } = await engine.next("Connected");
      const base = { qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 1 } as const;
      for (const topicFilter of ["m/secret", "m/t/#", "$share/g/m/s"]) {
        engine.sendTo(session, {
          opcode: EngineOpcode.Restore,
          session,
          subscription: { ...base, topicFilter, noLocal: !topicFilter.startsWith("$") },
        });
      }
      const shared = await engine.next("Subscribed", 2);
      assert.equal(shared.subscription?.topicFilter, "$share/g/m/s");
      assert.deepEqual(engine.all("Subscribed")[0]?.subscription, { ...base, topicFilter: "m/t/#" });
      // Again: it is there already.
      engine.sendTo(session, {
        opcode: EngineOpcode.Restore,
        session,
        subscription: { ...base, topicFilter: "m/t/#" },
      });
      engine.sendTo(session, {
        opcode: EngineOpcode.Restore,
        session,
        subscription: { ...base, topicFilter: "m/last" },
      });
      assert.equal((await engine.next("Subscribed", 3)).subscription?.topicFilter, "m/last");
    });

    test("are told again, with what they have unacknowledged, after the link broke", async (t) => {
      const plugin = await startPlugin(t, ebin, { release });
      const { node, engine } = plugin;
      await node.call(connect("a", "#{acknowledges => false, expiry_interval => 60}"));
      await node.call(subscribe("a", "t"));
      await node.call(connect("idle", LASTING));
      await node.call('omp_client:disconnect(<<"idle">>)');
      await node.call(connect("p"));
      await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"1">>)');
      const { message } = await engine.next("Publish");
      await node.call(seen("a", 1));
      await engine.next("Connected", 3);
      engine.links[0]?.close(new Error("of the test"));
      await waitFor(() => engine.links.length === 2, { what: "a second link", timeout: 20_000 });
      await engine.next("Connected", 5);
      const again = engine.all("Connected").slice(3);
      assert.deepEqual(again.map(({ clientId, toldAgain }) => [clientId, toldAgain]).sort(), [
        ["a", true],
        ["p", true],
      ]);
      const [a] = again.filter(({ clientId }) => clientId === "a");
      assert.deepEqual(a?.unacknowledged, [{ id: message.id, topic: "t" }]);
      assert.deepEqual(
        a?.subscriptions.map(({ subscription }) => subscription?.topicFilter),
        ["t"],
      );
      await node.call('omp_client:acknowledge(<<"a">>)');
      assert.equal((await engine.next("Acked")).id, message.id);
    });

    test("tell what was subscribed and unsubscribed while the link was down", async (t) => {
      const { node, engine, link } = await startPlugin(t, ebin, { release });
      await node.call(connect("a", LASTING));
      for (const filter of ["kept", "given up", "$share/g/kept"]) await node.call(subscribe("a", filter));
      const { session } = await engine.next("Subscribed", 3);
      await link.server.stop("the test says so");
      await waitFor(async () => (await node.call("ets:info(emqx_omp_connections, size)")) === "0", {
        what: "the end of the link",
      });
      await node.call('omp_client:unsubscribe(<<"a">>, <<"given up">>)');
      await node.call(subscribe("a", "new"));
      await startScriptedEngine(t, engine, { port: link.port });
      const again = await engine.next("Connected", 2);
      assert.deepEqual(again.subscriptions.map(({ subscription }) => subscription?.topicFilter).sort(), [
        "$share/g/kept",
        "kept",
        "new",
      ]);
      const { topicFilter, ...rest } = await engine.next("Unsubscribed");
      assert.deepEqual([topicFilter, rest.session], ["given up", session]);
      const { subscription, isNew } = await engine.next("Subscribed", 4);
      assert.deepEqual([subscription?.topicFilter, isNew], ["new", false]);
      assert.equal(await node.call("ets:info(emqx_omp_untold, size)"), "0");
      assert.equal(engine.all("Subscribed").length, 4);
    });

    test("that were there before the plugin are adopted", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.stop();
      await node.call(connect("a", LASTING));
      await node.call(subscribe("a", "t", "#{qos => 2}"));
      await node.start();
      const adopted = await engine.next("Connected");
      assert.deepEqual([adopted.clientId, adopted.toldAgain, adopted.subscriptions.length], ["a", true, 1]);
      await node.call(connect("p"));
      await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"1">>)');
      await engine.next("Acked");
    });

    test("whose queue overflows tell what they dropped", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(connect("a", "#{acknowledges => false, receive_maximum => 1, mqueue_len => 1}"));
      await node.call(subscribe("a", "t"));
      await node.call(connect("p"));
      for (const payload of ["1", "2", "3"])
        await node.call(`omp_client:publish(<<"p">>, <<"t">>, 1, <<"${payload}">>)`);
      const [, second] = engine.all("Publish");
      const dropped = await engine.next("Dropped");
      assert.deepEqual([dropped.reason, dropped.id], [DroppedReason.QueueFull, second?.message.id]);
    });
  });
}

describe("sessions in EMQX 6", { skip }, () => {
  test("that are away keep what is stored out of their queue, and tell so until they are released", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    await node.call(connect("a", LASTING));
    await node.call(subscribe("a", "t"));
    await node.call(connect("p"));
    await node.call('omp_client:disconnect(<<"a">>)');
    await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"1">>)');
    const dropped = await engine.next("Dropped");
    assert.equal(dropped.reason, DroppedReason.Away);
    engine.sendTo(dropped.session, {
      opcode: EngineOpcode.Release,
      session: dropped.session,
      number: engine.number + 1,
    });
    await waitFor(
      async () =>
        (await node.call(`element(2, process_info(hd(emqx_cm:lookup_channels(<<"a">>)), dictionary))`)).includes(
          "omp_released",
        ),
      { what: "RELEASE in the client's process" },
    );
    // It was numbered before the engine knew, and has been on its way since then.
    await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"late">>)');
    assert.equal((await engine.next("Dropped", 2)).reason, DroppedReason.Away);
    await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"2">>)');
    await node.call('omp_client:publish(<<"p">>, <<"t">>, 0, <<"3">>)');
    await node.call(connect("a", LASTING));
    await engine.next("Connected", 3);
    assert.equal(engine.all("Dropped").length, 2);
    assert.equal(await node.call(seen("a", 1)), '[{<<"t">>,0,<<"3">>,[]}]');
  });

  test("whose messages are not stored queue them as ever", async (t) => {
    const { node, engine } = await startPlugin(t, ebin, { settings: { topics: ["other"] } });
    await node.call(connect("a", LASTING));
    await node.call(subscribe("a", "t"));
    await node.call(connect("p"));
    await node.call('omp_client:disconnect(<<"a">>)');
    await node.call('omp_client:publish(<<"p">>, <<"t">>, 1, <<"1">>)');
    await node.call(connect("a", LASTING));
    assert.equal(await node.call(seen("a", 1)), '[{<<"t">>,1,<<"1">>,[]}]');
    assert.deepEqual(engine.all("Dropped"), []);
  });
});

describe("a session that says more than a frame has room for", { skip }, () => {
  test("is told in several, first and again, and harms nobody", async (t) => {
    const longestFrame = 65_536;
    const { node, engine } = await startPlugin(t, ebin, { link: { limits: { longestFrame } } });
    const filters = Array.from({ length: 4 }, (_, i) => `${i}/${"x".repeat(20_000)}`);
    await node.call(connect("a", LASTING));
    for (const filter of filters) await node.call(subscribe("a", filter));
    await engine.next("Subscribed", 4);
    await node.call(connect("a", LASTING));
    await engine.next("Subscribed", 8);
    engine.links[0]?.close(new Error("of the test"));
    await engine.next("Subscribed", 12);
    const [first, resumed, again] = engine.all("Connected");
    assert.deepEqual([resumed?.resumed, resumed?.subscriptions, again?.toldAgain], [true, [], true]);
    assert.notEqual(first?.session, resumed?.session);
    const told = engine.all("Subscribed").slice(4);
    assert.deepEqual(
      told.map(({ session, isNew }) => [session, isNew]),
      told.map(() => [resumed?.session, false]),
    );
    for (const part of [told.slice(0, 4), told.slice(4)]) {
      assert.deepEqual(part.map(({ subscription }) => subscription?.topicFilter).sort(), filters);
    }
    assert.ok(told.slice(0, 4).every(({ gate }) => gate > 0));
    assert.equal(engine.causes.length, 1);
  });

  test("is told without a filter that is too long with its mountpoint", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    await node.call(connect("a", '#{mountpoint => binary:copy(<<"m">>, 60000), expiry_interval => 60}'));
    for (const filter of ["x".repeat(5536), "t"]) await node.call(subscribe("a", filter));
    await engine.next("Subscribed");
    assert.ok((await node.wholeLog()).some((line) => line.includes("its filter has 65536 bytes with the mountpoint")));
    engine.links[0]?.close(new Error("of the test"));
    const again = await engine.next("Connected", 2);
    assert.deepEqual([again.toldAgain, again.subscriptions.length], [true, 1]);
    await node.call(`omp_client:unsubscribe(<<"a">>, <<"${"x".repeat(5536)}">>)`);
    await node.isWell();
    assert.deepEqual([engine.all("Subscribed").length, engine.all("Unsubscribed").length], [1, 0]);
    assert.equal(engine.causes.length, 1);
  });
});
