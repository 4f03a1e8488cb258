// The engine as EMQX starts it, from the bundle of the release package: what it is told, what it says, its end.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ENGINE_FILE } from "../../src/plugin/engine-module.ts";
import { bundleEmqxEngine, bundleEngine, EMQX_ENGINE_FILE } from "../../tools/release/bundle.ts";
import { runChild } from "../support/child.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { ScriptedNode } from "./scripted-node.ts";

const PATIENCE = 30_000;
const SECRET = "0123456789abcdef".repeat(4);
const CONFIG = { mysql: { enable: false }, redis: { enable: false }, sqlite: { enable: true, topics: ["#"] } };

const directory = temporaryDirectory(inReverse({ after }));
const program = join(directory, EMQX_ENGINE_FILE);

before(async () => {
  writeFileSync(join(directory, ENGINE_FILE), (await bundleEngine()).code);
  writeFileSync(program, (await bundleEmqxEngine()).code);
});

/** Makes this Node one that is too old: its version is another, and `node:sqlite` is not there. */
const OLD_NODE = `
import { registerHooks } from "node:module";
Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });
registerHooks({
  resolve(name, context, next) {
    if (name === "node:sqlite") throw new Error("No such built-in module: node:sqlite");
    return next(name, context);
  },
});`;

/** A Node of this machine that is too old; undefined: there is none. */
const oldNode = await findOldNode();
const noOldNode = oldNode === undefined && "no Node before 24 is installed";

async function findOldNode(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter).concat("/usr/bin", "/usr/local/bin")) {
    const node = join(folder, "node");
    if (!existsSync(node)) continue;
    const [, major] = (await runChild(node, ["--version"])).stdout.match(/^v(\d+)\./) ?? [];
    if (Number(major) >= 18 && Number(major) < 24) return node;
  }
  return undefined;
}

class Spawned {
  readonly process: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  readonly ended: Promise<[code: number | null, signal: string | null]>;
  #rest = "";

  constructor(scope: Scope) {
    this.process = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
    this.process.stdin?.on("error", () => {});
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const parts = (this.#rest + text).split("\n");
      this.#rest = parts.pop() ?? "";
      for (const line of parts) this.lines.push(JSON.parse(line));
    });
    this.ended = once(this.process, "close") as never;
    scope.after(async () => {
      if (this.process.exitCode === null) this.process.kill("SIGKILL");
      await this.ended;
    });
  }

  tell(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  says(key: string): Promise<unknown> {
    return waitFor(() => this.lines.find((line) => key in line)?.[key], { what: key, timeout: PATIENCE });
  }

  end(): Promise<[code: number | null, signal: string | null]> {
    this.process.stdin?.end();
    return within(this.ended, { what: "its end", timeout: PATIENCE });
  }
}

describe("the engine that EMQX starts", () => {
  test("listens, stores in its directory, logs in lines of JSON, and ends with its standard input", async (t) => {
    const scope = inReverse(t);
    const dataDirectory = temporaryDirectory(scope);
    const engine = new Spawned(scope);
    engine.tell(JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory }));
    const port = Number(await engine.says("listening"));
    const node = await ScriptedNode.start(scope, { port, secret: Buffer.from(SECRET), config: CONFIG });
    assert.deepEqual(await node.publish("t", "1"), { result: "stored" });
    engine.process.kill("SIGHUP");
    await waitFor(() => engine.lines.some(({ msg }) => msg === "the engine stores messages"), { what: "its log" });
    const entry = engine.lines.find(({ msg }) => msg === "the engine stores messages");
    assert.deepEqual(entry, {
      level: "info",
      msg: "the engine stores messages",
      store: `${join(dataDirectory, "messages.db")} (SQLite)`,
    });
    const stored = node.publish("t", "2");
    assert.deepEqual(await engine.end(), [0, null]);
    assert.ok(["stored", "unreachable"].includes((await stored).result));
    await waitFor(() => !node.isUp, { what: "the end of the link" });
    assert.ok(!JSON.stringify(engine.lines).includes(SECRET));

    const again = new Spawned(scope);
    again.tell(JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory }));
    const next = await ScriptedNode.start(scope, {
      port: Number(await again.says("listening")),
      secret: Buffer.from(SECRET),
      config: CONFIG,
    });
    const client = next.connect("c");
    next.subscribe("c", "#");
    await waitFor(() => client.payloads.includes("1"), { what: "the message of before" });
    assert.deepEqual(await again.end(), [0, null]);
  });

  for (const [what, line, problem] of [
    [
      "a directory that there is not",
      JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory: "/no/such" }),
      /^The engine cannot use the directory "\/no\/such": ENOENT\.$/,
    ],
    [
      "an empty directory",
      JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory: "" }),
      /^The engine cannot use the directory "": ENOENT\.$/,
    ],
    [
      "a directory that is a file",
      JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory: program }),
      /^The engine cannot use the directory "\/.*\/emqx-engine\.mjs": ENOTDIR\.$/,
    ],
    [
      "a secret that is too short",
      JSON.stringify({ protocol: 1, secret: "short", dataDirectory: directory }),
      /has 16 to 1024 bytes/,
    ],
    [
      "another protocol",
      JSON.stringify({ protocol: 2, secret: SECRET, dataDirectory: "/" }),
      /is started by the plugin inside EMQX/,
    ],
    ["no JSON", "hello", /is started by the plugin inside EMQX/],
  ] as const) {
    test(`says what is wrong and ends: ${what}`, async (t) => {
      const engine = new Spawned(inReverse(t));
      engine.tell(line);
      assert.match(String(await engine.says("problem")), problem);
      assert.deepEqual(await within(engine.ended, { what: "its end", timeout: PATIENCE }), [1, null]);
    });
  }

  test("leaves a directory alone that another one uses, until that has ended", async (t) => {
    const scope = inReverse(t);
    const dataDirectory = temporaryDirectory(scope);
    const orders = JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory });
    const first = new Spawned(scope);
    first.tell(orders);
    await first.says("listening");
    const second = new Spawned(scope);
    second.tell(orders);
    assert.equal(
      await second.says("problem"),
      `The engine cannot start: another omp broker or engine for EMQX uses the data directory ${dataDirectory}: end it, or wait until it has ended.`,
    );
    assert.deepEqual(await within(second.ended, { what: "its end", timeout: PATIENCE }), [1, null]);
    first.process.kill("SIGKILL");
    await first.ended;
    const third = new Spawned(scope);
    third.tell(orders);
    await third.says("listening");
    assert.deepEqual(await third.end(), [0, null]);
  });

  test("warns where it cannot lock its directory", async (t) => {
    const scope = inReverse(t);
    const dataDirectory = temporaryDirectory(scope);
    mkdirSync(join(dataDirectory, "omp.lock"));
    const engine = new Spawned(scope);
    engine.tell(JSON.stringify({ protocol: 1, secret: SECRET, dataDirectory }));
    const warning = await engine.says("msg");
    assert.match(
      String(warning),
      /^cannot lock \/.*\/omp\.lock \(.*\): see to it that no other broker or engine uses this data directory, or messages/,
    );
    assert.deepEqual(Object.keys(engine.lines[0] ?? {}), ["listening"]);
    assert.deepEqual(await engine.end(), [0, null]);
  });

  test("ends when its standard input ends before anything was said", async (t) => {
    const engine = new Spawned(inReverse(t));
    assert.deepEqual(await engine.end(), [1, null]);
  });

  test("says that Node is too old before it loads what an old Node does not have", async () => {
    const args = ["--import", `data:text/javascript,${encodeURIComponent(OLD_NODE)}`, program];
    const { code, stdout, stderr } = await runChild(process.execPath, args, { timeout: PATIENCE });
    assert.equal(
      stdout,
      `{"problem":"The engine needs Node 24, and this is 20.20.2: name another with engine.node."}\n`,
    );
    assert.equal(stderr, "");
    assert.equal(code, 1);
  });

  test("says so on a Node that is too old", { skip: noOldNode }, async () => {
    const { code, stdout, stderr } = await runChild(String(oldNode), [program], { timeout: PATIENCE });
    assert.match(stdout, /^\{"problem":"The engine needs Node 24, and this is \d+\.\d+\.\d+: .*"\}\n$/);
    assert.equal(stderr, "");
    assert.equal(code, 1);
  });
});
