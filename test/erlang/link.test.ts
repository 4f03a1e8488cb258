// The Erlang end of a link: who is let in, what is no frame, one log line for each cause, and another try.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { EngineOpcode, writeEngineFrame } from "../../src/emqx/engine-frames.ts";
import { FrameWriter } from "../../src/emqx/frame-fields.ts";
import { SECRET } from "../emqx/link-peer.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { lastingPort } from "../support/free-port.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { connectTo, type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";
import { type FalseEngine, type FalseEngineOptions, startFalseEngine } from "./false-engine.ts";
import { ScriptedEngine, startPlugin, startScriptedEngine } from "./scripted-engine.ts";

const skip = erlangMissing;
/** More than a busy machine needs, in ms. */
const PATIENCE = 30_000;
/** Garbage on a connection, so many times. */
const ROUNDS = 40;
const NEVER_LOGGED = SECRET.toString();

/** Lines of the log at `error` or worse. */
async function errors(node: ErlangNode): Promise<string[]> {
  return (await node.wholeLog()).filter((line) => line.startsWith("LOG error"));
}

async function nodeAt(t: Scope, port: number, retryDelay = 20): Promise<ErlangNode> {
  const node = await startErlangNode(t, ebin, { configuration: connectTo(port, SECRET.toString()), retryDelay });
  await node.start();
  return node;
}

/** Starts the node against such an engine; settles with what its health becomes, once it says more than that it is not there yet. */
async function healthWith(
  t: Scope,
  options: FalseEngineOptions,
): Promise<{ node: ErlangNode; health: string; engine: FalseEngine }> {
  const engine = await startFalseEngine(t, options);
  const { port } = engine;
  const node = await nodeAt(t, port);
  const health = await waitFor(
    async () => {
      const text = await node.health();
      return text.includes("yet") ? undefined : text.replace(`127.0.0.1:${port}`, "HOST");
    },
    { what: "the cause in the health", timeout: PATIENCE },
  );
  return { node, health, engine };
}

describe("the Erlang end of the link", { skip }, () => {
  test("is well once the engine has taken the configuration, and says so once", async (t) => {
    const { node, engine } = await startPlugin(t, ebin, { configuration: `, <<"sqlite">> => #{<<"enable">> => true}` });
    const configure = await engine.next("Configure");
    assert.deepEqual(JSON.parse(Buffer.from(configure.json).toString()), { sqlite: { enable: true } });
    assert.deepEqual(await node.wholeLog(), [
      'LOG notice msg: offline_message_plugin, text: <<"The link to the engine is up">>',
    ]);
    const [link] = engine.links;
    assert.equal(link?.nodeName, "nonode@nohost");
    assert.equal(link?.emqxVersion, "6.0.1");
  });

  for (const [name, options, expected] of [
    ["another secret", { secret: Buffer.from("another secret of tests") }, "The engine at HOST has another secret"],
    ["another version", { version: 2 }, "another version than 1"],
    ["no greeting", { opened: (socket) => socket.end() }, "it closes the connection"],
    [
      "an over-long frame at the start",
      { greeted: (socket) => socket.write(Buffer.from([0, 1, 0, 0, 2])) },
      "a frame of 65536 bytes, more than 4096",
    ],
    [
      "an over-long frame later",
      { welcomed: (socket) => socket.write(Buffer.from([0, 16, 0, 1, 0x50])) },
      "a frame of 1048577 bytes, more than 1048576",
    ],
    ["a frame of 0 bytes", { welcomed: (socket) => socket.write(Buffer.alloc(4)) }, "a frame of 0 bytes"],
    [
      "an opcode that is not known",
      { welcomed: (socket) => socket.write(Buffer.from([0, 0, 0, 1, 0x99])) },
      "opcode 0x99: not known in this version",
    ],
    [
      "answers before their time",
      { welcomed: (socket) => socket.write(Buffer.from([0, 0, 0, 5, 0x50, 0, 0, 0, 0])) },
      "ANSWERS comes before its time",
    ],
    ["limits that are too low", { terms: { longestFrame: 100 } }, "WELCOME: a limit that is too low"],
  ] satisfies [string, FalseEngineOptions, string][]) {
    test(`closes the link for ${name}: one line, and another try`, async (t) => {
      const { node, health, engine } = await healthWith(t, options);
      assert.ok(health.includes(expected), health);
      await waitFor(() => engine.opened() > 8, { what: "a third try", timeout: PATIENCE });
      const lines = await errors(node);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.ok(!node.child.stderr.includes(NEVER_LOGGED));
    });
  }

  test("closes the link for an engine that is silent", async (t) => {
    const { health } = await healthWith(t, { terms: { heartbeat: 50 } });
    assert.match(health, /The link to the engine at HOST is closed: the engine has been silent for 150 ms/);
  });

  test("waits longer and longer for an engine that is not there, and finds it when it comes", async (t) => {
    const port = await lastingPort();
    const node = await nodeAt(t, port);
    await waitFor(async () => (await errors(node)).length > 0, { what: "a line in the log", timeout: PATIENCE });
    assert.match(await node.health(), /The engine at 127.0.0.1:\d+ cannot be reached: connection refused/);
    const engine = new ScriptedEngine();
    await startScriptedEngine(t, engine, { port });
    await node.isWell();
    assert.equal((await errors(node)).length, 1);
  });

  test("survives garbage and half frames, and is well afterwards", { timeout: 120_000 }, async (t) => {
    const random = seededRandom("Erlang link, garbage");
    let rounds = 0;
    const options: FalseEngineOptions = {
      port: await lastingPort(),
      terms: { heartbeat: 1000 },
      welcomed: (socket) => {
        rounds += 1;
        const garbage = random.bytes(random.below(300));
        // Lengths that are possible make it go deeper.
        if (random.chance(0.7) && garbage.length > 4) garbage.writeUInt32BE(random.below(garbage.length), 0);
        socket.write(garbage);
        if (random.chance(0.5)) socket.end();
      },
    };
    const engine = await startFalseEngine(t, options);
    const node = await nodeAt(t, engine.port, 1);
    await waitFor(() => rounds >= ROUNDS, { what: "rounds of garbage", timeout: 100_000 });
    await engine.stop();
    assert.equal(await node.call("is_pid(whereis(emqx_omp_link))"), "true");
    const crashes = (await errors(node)).filter((line) => !line.includes("msg: offline_message_plugin"));
    assert.deepEqual(crashes, []);
    await startScriptedEngine(t, new ScriptedEngine(), { port: engine.port });
    await node.isWell();
  });

  for (const [what, flood, expected] of [
    [
      "frames",
      "[emqx_omp_connection:send(<<>>, {ended, 1}) || _ <- lists:seq(1, 2000000)]",
      "more waits to be written",
    ],
    [
      "bytes",
      "[emqx_omp_connection:send(<<>>, {unsubscribed, 1, binary:copy(<<0>>, 60000)}) || _ <- lists:seq(1, 2000)]",
      "more waits to be written",
    ],
    [
      "nothing read",
      "[emqx_omp_connection:send(<<>>, {unsubscribed, 1, binary:copy(<<0>>, 60000)}) || _ <- lists:seq(1, 500)]",
      "the engine has not read for 5 s",
    ],
  ] as const) {
    test(`closes the link of an engine that does not read: ${what}`, { timeout: 60_000 }, async (t) => {
      const { port } = await startFalseEngine(t, {
        terms: { heartbeat: 60_000 },
        welcomed: (socket) => {
          const writer = new FrameWriter();
          writeEngineFrame(writer, { opcode: EngineOpcode.Settings, ...new ScriptedEngine().settings });
          socket.write(writer.take());
          socket.pause();
        },
      });
      // So that there is no second link while the first one is looked at.
      const node = await nodeAt(t, port, 60_000);
      await node.isUp();
      await node.call(`begin ${flood}, ok end`, PATIENCE);
      await waitFor(async () => (await errors(node)).length > 0, { what: "a line in the log", timeout: PATIENCE });
      const lines = await errors(node);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.ok(lines[0]?.includes(expected), lines[0]);
      assert.equal(await node.call("ets:tab2list(emqx_omp_connections)"), "[]");
    });
  }

  test("heals after a link that broke, and after GOODBYE, which is no error", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.links[0]?.close(new Error("of the test"));
    await waitFor(() => engine.links.length === 2, { what: "a second link", timeout: PATIENCE });
    await node.isWell();
    engine.links[1]?.goodbye("it is stopped");
    await waitFor(() => node.log.some((line) => line.includes("it ends: it is stopped")), {
      what: "a line for GOODBYE",
      timeout: PATIENCE,
    });
    assert.ok(
      (await node.wholeLog()).some((line) => line.startsWith("LOG notice") && line.includes("it ends: it is stopped")),
    );
    await waitFor(() => engine.links.length === 3, { what: "a third link", timeout: PATIENCE });
  });

  test("shows what the engine says of its health", async (t) => {
    const { node, engine } = await startPlugin(t, ebin);
    engine.links[0]?.send({ opcode: EngineOpcode.Health, problem: "Redis cannot be reached" });
    await waitFor(async () => (await node.health()) === '"Redis cannot be reached"', { what: "the health" });
    engine.links[0]?.send({ opcode: EngineOpcode.Health });
    await node.isWell();
  });

  test("speaks TLS, and checks the certificate where it is told to", { skip: certificatesMissing }, async (t) => {
    const directory = temporaryDirectory(t);
    const authority = await makeAuthority(directory, "authority");
    const own = await makeCertificate(directory, "engine", authority);
    const engine = new ScriptedEngine();
    const tls = { cert: readFileSync(own.certfile), key: readFileSync(own.keyfile) };
    const { port } = await startScriptedEngine(t, engine, { tls });
    const withCa = (file: string): string => `#{<<"engine">> => #{<<"mode">> => <<"connect">>,
      <<"server">> => <<"127.0.0.1:${port}">>, <<"secret">> => <<"${SECRET}">>,
      <<"ssl">> => #{<<"enable">> => true, <<"verify">> => <<"verify_peer">>,
        <<"server_name_indication">> => <<"localhost">>, <<"cacertfile">> => <<"${file}">>}}}`;
    const node = await startErlangNode(t, ebin, { configuration: withCa(authority.certfile) });
    await node.start();
    await node.isWell();
    const other = await makeAuthority(directory, "other");
    const stranger = await startErlangNode(t, ebin, { configuration: withCa(other.certfile), retryDelay: 20 });
    await stranger.start();
    await waitFor(async () => (await errors(stranger)).some((line) => line.includes("cannot be reached")), {
      what: "a line about the certificate",
      timeout: PATIENCE,
    });
    assert.match(await stranger.health(), /cannot be reached: .*[Uu]nknown/);
  });

  test("warns of a connection to another machine that others could read", async (t) => {
    const node = await startErlangNode(t, ebin, { configuration: connectTo(1, SECRET.toString()) });
    const warnings = (host: string, tls: string): Promise<string> =>
      node.call(`emqx_omp_settings:warnings(#{host => "${host}", tls => ${tls}})`);
    assert.match(await warnings("192.0.2.1", "false"), /engine\.ssl is off/);
    assert.match(
      await warnings("omp", "[{verify, verify_none}]"),
      /engine\.ssl\.verify is verify_none: who is between/,
    );
    assert.equal(await warnings("omp", "[{verify, verify_peer}]"), "[]");
    for (const host of ["127.0.0.1", "::1", "localhost"]) {
      for (const tls of ["false", "[{verify, verify_none}]"]) assert.equal(await warnings(host, tls), "[]");
    }
  });

  test("stop takes the hooks out and leaves no process behind", async (t) => {
    const { node } = await startPlugin(t, ebin);
    const before = Number(await node.call("length(emqx_hooks:callbacks())"));
    assert.ok(before >= 14, `${before} hooks`);
    await node.stop();
    assert.equal(await node.call("emqx_hooks:callbacks()"), "[]");
    const left = '[N || N <- registered(), lists:prefix("emqx_o", atom_to_list(N))]';
    assert.equal(await node.call(left), "[]");
    assert.equal(
      await node.call('length([P || P <- erlang:ports(), {name, "tcp_inet"} =:= erlang:port_info(P, name)])'),
      "0",
    );
  });
});
