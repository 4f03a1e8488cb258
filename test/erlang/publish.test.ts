// Publishes in EMQX: stored before they are routed and acknowledged, refused as MQTT can say it, and decided without the engine.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { erlangMissing } from "./erlang-node.ts";
import { type Outcome, startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
/** More than a busy machine needs, in ms. */
const PATIENCE = 20_000;

const client = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const publish = (name: string, topic: string, qos: number, options = "#{}"): string =>
  `omp_client:publish(<<"${name}">>, <<"${topic}">>, ${qos}, <<"x">>, ${options})`;

for (const release of ["5.8.0", "5.9.0", "6.0.1"]) {
  describe(`publishes in EMQX ${release}`, { skip }, () => {
    test("are stored before they are routed, with everything that MQTT 5 has", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(client("s"));
      await node.call('omp_client:subscribe(<<"s">>, <<"t/#">>, #{qos => 1})');
      await node.call(client("p"));
      const properties = `#{'Content-Type' => <<"c">>, 'Response-Topic' => <<"r">>, 'Correlation-Data' => <<1, 255>>,
        'Message-Expiry-Interval' => 60, 'Payload-Format-Indicator' => 1,
        'User-Property' => [{<<"b">>, <<"2">>}, {<<"a">>, <<"1">>}, {<<"b">>, <<"3">>}]}`;
      assert.equal(
        await node.call(publish("p", "t/1", 1, `#{retain => true, properties => ${properties}}`)),
        "{puback,0}",
      );
      assert.equal(await node.call('omp_client:wait_for(<<"s">>, 1)'), '[{<<"t/1">>,1,<<"x">>,[]}]');
      const { message, routed } = await engine.next("Publish");
      assert.equal(routed, false);
      const { id, timestamp, expiresAt = 0, ...rest } = message;
      assert.match(id, /^[0-9A-F]{32}$/);
      assert.equal(expiresAt - timestamp, 60_000);
      assert.deepEqual(rest, {
        from: "p",
        topic: "t/1",
        qos: 1,
        retain: true,
        payload: Buffer.from("x"),
        properties: {
          payloadFormatIndicator: 1,
          contentType: "c",
          responseTopic: "r",
          correlationData: Buffer.from([1, 255]),
          userProperties: [
            ["b", "2"],
            ["a", "1"],
            ["b", "3"],
          ],
        },
      });
      assert.deepEqual((await engine.next("Acked")).id, id);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("are refused as the publisher can be told", async (t) => {
      const { node, engine } = await startPlugin(t, ebin, { release });
      await node.call(client("s"));
      await node.call('omp_client:subscribe(<<"s">>, <<"t">>, #{qos => 2})');
      const refusal = { result: "refused", temporary: true, acknowledge: false, reasonCode: 0x83, delay: 0 } as const;
      const lasting = { ...refusal, temporary: false, reasonCode: 0x97 } as const;
      const seen = async (outcome: Outcome, version: number, qos: number): Promise<string> => {
        engine.outcome = () => outcome;
        await node.call(client("p", `#{version => ${version}}`));
        return node.call(publish("p", "t", qos));
      };
      assert.equal(await seen(refusal, 5, 1), "{puback,131}");
      assert.equal(await seen(lasting, 5, 1), "{puback,151}");
      assert.equal(await seen(refusal, 5, 2), "disconnected");
      assert.equal(await seen(refusal, 4, 1), "disconnected");
      assert.equal(await seen(lasting, 4, 1), "disconnected");
      assert.equal(await seen({ ...lasting, acknowledge: true }, 4, 1), "{puback,16}");
      assert.equal(await seen({ ...lasting, acknowledge: true }, 5, 2), "{pubrec,16}");
      assert.equal(await seen({ ...refusal, acknowledge: true }, 4, 1), "disconnected");
      // The next one of the same client has its own reason code.
      engine.outcome = () => engine.stored();
      await node.call(client("p"));
      assert.equal(await node.call(publish("p", "t", 1)), "{puback,0}");
      assert.equal(await node.call('omp_client:wait_for(<<"s">>, 1)'), '[{<<"t">>,1,<<"x">>,[]}]');
      // A will, or a rule: nobody to tell.
      engine.outcome = () => refusal;
      assert.equal(await node.call('emqx_broker:publish(emqx_message:make(<<"w">>, 1, <<"t">>, <<"will">>))'), "[]");
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });
  });
}

describe("publishes in EMQX", { skip }, () => {
  test("that no filter asks for make no frame", async (t) => {
    const { node, engine } = await startPlugin(t, ebin, { settings: { topics: ["a/+", "b"] } });
    await node.call(client("p"));
    for (const [topic, qos] of [
      ["a/1", 0],
      ["a/1/2", 1],
      ["$SYS/x", 1],
      ["c", 2],
    ] as const) {
      await node.call(publish("p", topic, qos));
    }
    await node.call(publish("p", "b", 2));
    await node.call(publish("p", "a/1", 1));
    assert.deepEqual(
      engine.all("Publish").map(({ message }) => message.topic),
      ["b", "a/1"],
    );
  });

  test("are stored as EMQX routes them, if it does, and not retained if they are refused", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    await node.call("emqx_stand_ins:put_rewriting()");
    await node.call("emqx_stand_ins:put_validation()");
    await node.call(client("p"));
    assert.equal(await node.call(publish("p", "wrong", 1)), "{puback,16}");
    assert.equal(await node.call(publish("p", "old", 1)), "{puback,16}");
    assert.deepEqual(
      engine.all("Publish").map(({ message }) => message.topic),
      ["new"],
    );
    engine.outcome = () => ({ result: "refused", temporary: true, acknowledge: false, reasonCode: 0x83, delay: 0 });
    assert.equal(await node.call(publish("p", "old", 1, "#{retain => true}")), "{puback,131}");
    assert.equal(await node.call('emqx_retainer:read_message(<<"new">>)'), "{ok,[]}");
  });

  test("wait as long as the engine says for a refused one", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.outcome = () => ({ result: "refused", temporary: true, acknowledge: false, reasonCode: 0x83, delay: 300 });
    await node.call(client("p"));
    const started = performance.now();
    assert.equal(await node.call(publish("p", "t", 1)), "{puback,131}");
    assert.ok(performance.now() - started >= 300);
  });

  test("wait for nobody in a process that is no client's, and end no connection of another protocol", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.outcome = () => ({
      result: "refused",
      temporary: true,
      acknowledge: false,
      reasonCode: 0x83,
      delay: 10_000,
    });
    const started = performance.now();
    // As EMQX publishes what was delayed.
    const headers = "#{protocol => mqtt, proto_ver => 5}";
    await node.call(
      `emqx_broker:publish(emqx_message:make(emqx_guid:gen(), <<"p">>, 1, <<"t">>, <<"x">>, #{}, ${headers}))`,
    );
    await node.call(client("sn", "#{protocol => 'mqtt-sn'}"));
    assert.equal(await node.call(publish("sn", "t", 1)), "{puback,16}");
    assert.ok(performance.now() - started < 10_000);
  });

  test("that no client makes are in the log when they are lost, once a minute", async (t) => {
    const { node, link } = await startPlugin(t, ebin);
    await link.server.stop("of the test");
    await waitFor(async () => (await node.health()) !== "ok", { what: "the link is down" });
    const lines = (): string[] => node.log.filter((line) => line.includes("are lost"));
    const will = (topic: string): Promise<string> =>
      node.call(`emqx_broker:publish(emqx_message:make(<<"w">>, 1, <<"${topic}">>, <<"will">>))`);
    for (const topic of ["w/1", "w/2", "w/3"]) assert.equal(await will(topic), "[]");
    await node.call("atomics:sub(persistent_term:get({emqx_omp, lost}), 2, 60000)");
    await will("w/4");
    await waitFor(() => lines().length === 2, { what: "a line for each minute" });
    assert.match(lines()[0] ?? "", /LOG warning .* 1 messages .*w\/1/);
    assert.match(lines()[1] ?? "", / 3 messages .*w\/4/);
  });

  test("are decided without the engine when it does not answer in time, and it is told if it stores them later", async (t) => {
    const { node, engine } = await startPlugin(t, ebin, { settings: { timeout: 100 } });
    engine.outcome = () => undefined;
    await node.call(client("p"));
    assert.equal(await node.call(publish("p", "t", 1)), "{puback,131}");
    const { request, message } = await engine.next("Publish");
    const connection = engine.connectionOf(1);
    connection.answer({ request, ...engine.stored() } as never);
    assert.equal((await engine.next("NotRouted")).id, message.id);
  });

  test("of a client that was ended while it waited are not routed, and the engine is told", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.outcome = () => undefined;
    await node.call(client("p"));
    const publishing = node.call(publish("p", "t", 1));
    const { request, message } = await engine.next("Publish");
    await node.call('omp_client:kill(<<"p">>)');
    assert.match(await publishing, /ended/);
    await engine.next("Ended");
    engine.connectionOf(1).answer({ request, ...engine.stored() } as never);
    assert.equal((await engine.next("NotRouted")).id, message.id);
  });

  test("go through unstored with on_store_error = ignore, and are refused with reject, while the link is down", async (t) => {
    for (const [ignoreStoreErrors, expected] of [
      [true, "{puback,16}"],
      [false, "{puback,131}"],
    ] as const) {
      const { node, engine, link } = await startPlugin(t, ebin, { settings: { ignoreStoreErrors } });
      engine.outcome = () => undefined;
      await node.call(client("p"));
      const publishing = node.call(publish("p", "t", 1));
      await engine.next("Publish");
      await link.server.stop("of the test");
      assert.equal(await publishing, expected);
      assert.equal(await node.call(publish("p", "t", 1)), expected);
    }
  });

  test("know the last settings when the engine is not there at the start, and take everything for stored without them", async (t) => {
    const { node, link } = await startPlugin(t, ebin, { settings: { topics: ["stored/#"], ignoreStoreErrors: false } });
    await node.call(client("p"));
    await link.server.stop("of the test");
    await node.stop();
    await node.call("persistent_term:erase({emqx_omp, settings})");
    await node.start();
    assert.equal(await node.call(publish("p", "other", 1)), "{puback,16}");
    assert.equal(await node.call(publish("p", "stored/1", 1)), "{puback,131}");
    await node.stop();
    await node.call("persistent_term:erase({emqx_omp, settings})");
    await node.call('file:delete(filename:join(emqx_omp_emqx:data_directory(), "settings.bin"))');
    await node.start();
    assert.equal(await node.call(publish("p", "other", 1)), "{puback,131}");
  });

  test("that are too long for a frame are refused for good", async (t) => {
    const { node } = await startPlugin(t, ebin, { link: { limits: { longestFrame: 5000 } } });
    await node.call(client("p"));
    assert.equal(await node.call(publish("p", "t", 1).replace('<<"x">>', "binary:copy(<<0>>, 4900)")), "{puback,16}");
    const started = performance.now();
    assert.equal(await node.call(publish("p", "t", 1).replace('<<"x">>', "binary:copy(<<0>>, 5000)")), "{puback,151}");
    assert.ok(performance.now() - started >= 2000, "who sends it again has to pause");
  });

  for (const [acknowledgeUnstorable, expected] of [
    [true, "{puback,16}"],
    [false, "disconnected"],
  ] as const) {
    test(`that are too long, of MQTT 3.1.1, with acknowledgeUnstorable ${acknowledgeUnstorable}: ${expected}`, async (t) => {
      const settings = { acknowledgeUnstorable };
      const { node } = await startPlugin(t, ebin, { settings, link: { limits: { longestFrame: 5000 } } });
      await node.call('omp_client:connect(<<"p">>, #{version => 4})');
      assert.equal(await node.call(publish("p", "t", 1).replace('<<"x">>', "binary:copy(<<0>>, 5000)")), expected);
    });
  }

  test("wait in the node beyond the window, and other frames go past them", async (t) => {
    const { node, engine } = await startPlugin(t, ebin, { link: { limits: { windowPublishes: 4 } } });
    engine.outcome = () => undefined;
    // All of one connection: a will has its client's id.
    const count = 10;
    const all = node.call(
      `begin Self = self(), [spawn(fun() -> emqx_broker:publish(emqx_message:make(<<"w">>, 1, <<"t">>, integer_to_binary(N))),
        Self ! {done, N} end) || N <- lists:seq(1, ${count})], [receive {done, N} -> N end || N <- lists:seq(1, ${count})] end`,
    );
    await engine.next("Publish", 4);
    await node.call(client("w"));
    await engine.next("Connected");
    assert.equal(engine.all("Publish").length, 4);
    engine.outcome = () => engine.stored();
    for (const { request } of engine.all("Publish"))
      engine.connectionOf(1).answer({ request, ...engine.stored() } as never);
    await all;
    assert.equal(engine.all("Publish").length, count);
  });

  test("beyond what may wait are decided without the engine", async (t) => {
    const { node, engine } = await startPlugin(t, ebin, { link: { limits: { windowPublishes: 1 } } });
    engine.outcome = () => undefined;
    const mebibytes = 70;
    const refused = await node.call(
      `begin Self = self(), Payload = binary:copy(<<0>>, 1048576),
        [spawn(fun() -> Self ! {done, emqx_broker:publish(emqx_message:make(<<"w">>, 1, <<"t">>, Payload))} end)
          || _ <- lists:seq(1, ${mebibytes})],
        lists:usort([receive {done, R} -> R end || _ <- lists:seq(1, ${mebibytes - 64})]) end`,
      PATIENCE,
    );
    assert.equal(refused, "[[]]");
    await waitFor(() => engine.all("Publish").length > 0, { what: "the one that is in the window" });
    assert.equal(engine.all("Publish").length, 1);
  });

  test("are many at once, each with its own answer", { timeout: 60_000 }, async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.outcome = ({ message }) =>
      Buffer.from(message.payload).toString().endsWith("7")
        ? { result: "refused", temporary: true, acknowledge: false, reasonCode: 0x83, delay: 0 }
        : engine.stored();
    const results = await node.call(
      `begin Self = self(),
        [begin omp_client:connect(C, #{}), spawn(fun() -> Self ! {done, [{N, omp_client:publish(C, <<"t">>, 1, integer_to_binary(N))}
          || N <- lists:seq(1, 100)]} end) end || C <- [integer_to_binary(I) || I <- lists:seq(1, 20)]],
        All = lists:append([receive {done, R} -> R end || _ <- lists:seq(1, 20)]),
        [X || {N, R} = X <- All, R =/= case N rem 10 of 7 -> {puback, 131}; _ -> {puback, 16} end] end`,
      60_000,
    );
    assert.equal(results, "[]");
    await waitFor(() => engine.all("Publish").length === 2000, { what: "2000 publishes" });
  });
});
