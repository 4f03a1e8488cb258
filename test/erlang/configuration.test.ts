// The configuration in EMQX: checked by the engine, in whose words EMQX answers; passwords and secrets in no log.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SECRET } from "../emqx/link-peer.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { connectTo, type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";
import { ScriptedEngine, startPlugin, startScriptedEngine } from "./scripted-engine.ts";

const skip = erlangMissing;
const PASSWORD = "a password of the database";
const WITH_PASSWORD = `, <<"redis">> => #{<<"password">> => <<"${PASSWORD}">>}`;

const ENGINE_MODE = '"engine.mode must be \\"spawn\\" or \\"connect\\""';

/** What EMQX is answered for a new configuration. */
function change(node: ErlangNode, before: string, now: string): Promise<string> {
  return node.call(`case emqx_offline_message_plugin_app:on_config_changed(${before}, ${now}) of
    ok -> ok; {error, Text} -> binary_to_list(Text) end`);
}

describe("the configuration in EMQX", { skip }, () => {
  for (const release of ["5.8.0", "5.9.0", "6.0.1"]) {
    test(`is checked by the engine, in EMQX ${release}`, async (t) => {
      const { node, engine, link } = await startPlugin(t, ebin, { release });
      const old = connectTo(link.port, SECRET.toString());
      const now = connectTo(
        link.port,
        SECRET.toString(),
        `, <<"sqlite">> => #{<<"topics">> => [<<"a/#">>], <<"n">> => 1}`,
      );
      assert.equal(await change(node, old, now), "ok");
      const { json } = await engine.next("Configure", 2);
      assert.deepEqual(JSON.parse(Buffer.from(json).toString()), { sqlite: { topics: ["a/#"], n: 1 } });
      engine.problem = "sqlite.topics: 'a/#/b' is no topic filter.";
      assert.equal(await change(node, now, old), `"${engine.problem}"`);
      // EMQX 6 tells whoever gave it the configuration, and keeps the one before.
      const expected = release.startsWith("6") ? /^ok$/ : /The engine does not take the configuration: sqlite.topics/;
      assert.match(await node.health(), expected);
      engine.problem = undefined;
      assert.equal(await change(node, old, now), "ok");
      assert.equal(await node.health(), "ok");
    });
  }

  test("is taken before the plugin is started, with what can be checked then", async (t) => {
    const engine = new ScriptedEngine();
    const { port } = await startScriptedEngine(t, engine);
    const now = connectTo(port, SECRET.toString(), WITH_PASSWORD);
    const node = await startErlangNode(t, ebin, { configuration: "#{}" });
    assert.equal(await change(node, "#{}", '#{<<"engine">> => #{<<"mode">> => <<"other">>}}'), ENGINE_MODE);
    assert.equal(await change(node, "#{}", now), "ok");
    await node.call(`emqx_stand_ins:set(configuration, ${now})`);
    await node.start();
    await node.isWell();
  });

  test("cannot be checked without the engine, and says so", async (t) => {
    const { node, link } = await startPlugin(t, ebin);
    const old = connectTo(link.port, SECRET.toString());
    await link.server.stop("of the test");
    await waitFor(async () => (await node.health()) !== "ok", { what: "the link is down" });
    const answer = await change(node, old, connectTo(link.port, SECRET.toString(), WITH_PASSWORD));
    assert.match(answer, /^"The engine cannot be reached, and only it can check the configuration: /);
  });

  test("of the engine itself is checked here, and begins the link anew", async (t) => {
    const { node, link } = await startPlugin(t, ebin);
    const old = connectTo(link.port, SECRET.toString());
    for (const [engine, expected] of [
      ['#{<<"mode">> => <<"other">>}', /engine.mode must be/],
      ['#{<<"mode">> => <<"connect">>, <<"server">> => <<"nowhere">>}', /engine.server must be HOST:PORT/],
      ['#{<<"mode">> => <<"connect">>, <<"server">> => <<"h:99999">>}', /engine.server must be HOST:PORT/],
      ['#{<<"mode">> => <<"connect">>, <<"secret">> => <<"short">>}', /engine.secret must have 16 to 1024 bytes/],
      [
        '#{<<"mode">> => <<"connect">>, <<"secret">> => <<"0123456789abcdef ">>}',
        /engine.secret must be one line without blanks at its ends/,
      ],
      [
        '#{<<"mode">> => <<"connect">>, <<"secret">> => <<"01234567\\n89abcdef">>}',
        /engine.secret must be one line without blanks at its ends/,
      ],
      ['#{<<"mode">> => <<"connect">>, <<"secret">> => 1}', /engine.secret must be a text/],
    ] as const) {
      assert.match(await change(node, old, `#{<<"engine">> => ${engine}}`), expected);
    }
    await node.isWell();
    const other = new ScriptedEngine();
    const { port } = await startScriptedEngine(t, other);
    assert.equal(await change(node, old, connectTo(port, SECRET.toString(), `, <<"a">> => 1`)), "ok");
    const { json } = await other.next("Configure");
    assert.deepEqual(JSON.parse(Buffer.from(json).toString()), { a: 1 });
    await node.isWell();
  });

  test("that leads to another engine: what the one before still says is not taken for the next one's", async (t) => {
    const { node, engine, link } = await startPlugin(t, ebin);
    const other = new ScriptedEngine();
    const now = connectTo((await startScriptedEngine(t, other)).port, SECRET.toString());
    const waiting = async (): Promise<number> =>
      Number((await node.call("process_info(whereis(emqx_omp_link), message_queue_len)")).match(/\d+/)?.[0]);
    await node.call("sys:suspend(emqx_omp_link)");
    const changed = change(node, connectTo(link.port, SECRET.toString()), now);
    await waitFor(async () => (await waiting()) === 1, { what: "the change waits" });
    engine.links[0]?.goodbye("of the one before");
    await waitFor(async () => (await waiting()) > 4, { what: "GOODBYE waits" });
    await node.call("sys:resume(emqx_omp_link)");
    assert.equal(await changed, "ok");
    await other.next("Configure");
    await node.isWell();
    assert.ok(
      !(await node.wholeLog()).some((line) => line.includes("of the one before")),
      (await node.wholeLog()).join("\n"),
    );
  });

  test("that is refused at the start is in the log and the health, without what is secret, and can be mended", async (t) => {
    const engine = new ScriptedEngine();
    engine.problem = "redis.servers: there is none.";
    const { port } = await startScriptedEngine(t, engine);
    const configuration = connectTo(port, SECRET.toString(), WITH_PASSWORD);
    const node = await startErlangNode(t, ebin, { configuration });
    await node.start();
    await waitFor(async () => (await node.health()).includes("redis.servers: there is none."), { what: "the health" });
    assert.ok(
      (await node.wholeLog()).some((line) => line.startsWith("LOG error") && line.includes(engine.problem ?? "")),
    );
    const [, bytes] =
      JSON.stringify(JSON.parse(Buffer.from((await engine.next("Configure")).json).toString())).match(
        /"password":"([^"]*)"/,
      ) ?? [];
    assert.equal(bytes, PASSWORD);
    assert.match(await node.health(), /^"The engine does not take the configuration: redis.servers/);
    assert.equal(await change(node, configuration, configuration), `"${engine.problem}"`);
    engine.problem = undefined;
    assert.equal(await change(node, configuration, configuration), "ok");
    await node.isWell();
    // Every process that has it fails, as hard as it can.
    for (const victim of [
      "whereis(emqx_omp_link)",
      "whereis(emqx_omp_sessions)",
      "element(2, hd(ets:tab2list(emqx_omp_connections)))",
    ]) {
      await node.isUp();
      await node.call(`begin P = ${victim}, gen_server:cast(P, wrong), exit(P, wrong) end`);
    }
    await node.isUp();
    assert.ok(!node.child.stderr.includes(PASSWORD), node.child.stderr);
    assert.ok(!node.child.stderr.includes(SECRET.toString()), node.child.stderr);
  });
});
