// Both ends together: the Erlang application in a scripted EMQX, and the plugin with SQLite or Redis behind a true link.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RedisStore } from "../../src/store/redis/redis-store.ts";
import { SECRET } from "../emqx/link-peer.ts";
import { type LinkedOptions, type LinkedPlugin, startLinkedPlugin } from "../emqx/linked-plugin.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { silentLogger } from "../store/sample-messages.ts";
import { redisSkip, startSingle } from "../support/redis.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { connectTo, type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";

const skip = erlangMissing;
/** More than a busy machine needs, in ms. */
const PATIENCE = 60_000;
const LASTING = "#{clean_start => false, expiry_interval => 3600}";

interface Both {
  readonly node: ErlangNode;
  readonly engine: LinkedPlugin;
}

async function start(t: Scope, { release, async = false, redis = false }: Variant): Promise<Both> {
  const options: LinkedOptions = { asyncPublishAck: async, ...(redis && { otherStore: await redisStore(t) }) };
  const engine = await startLinkedPlugin(t, options);
  const configuration = connectTo(engine.port, SECRET.toString());
  const node = await startErlangNode(t, ebin, { configuration, release, retryDelay: 20 });
  await node.start();
  await node.isWell();
  return { node, engine };
}

async function redisStore(t: Scope): Promise<RedisStore> {
  const { place } = await startSingle(t);
  return new RedisStore({ ...place, poolSize: 4, messageTtl: 0, timeout: 5000, logger: silentLogger });
}

const connect = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const subscribe = (name: string, filter: string, options = "#{qos => 1}"): string =>
  `omp_client:subscribe(<<"${name}">>, <<"${filter}">>, ${options})`;
const publish = (payload: string, topic = "t/1", qos = 1): string =>
  `omp_client:publish(<<"p">>, <<"${topic}">>, ${qos}, <<"${payload}">>)`;

/** Everything that a client of this name was ever sent. */
async function payloads(node: ErlangNode, name: string): Promise<string[]> {
  const seen = await node.call(`omp_client:everything(<<"${name}">>)`);
  return [...seen.matchAll(/<<"([^"]*)">>/g)].map(([, payload = ""]) => payload);
}

async function seesExactly(node: ErlangNode, name: string, expected: readonly string[]): Promise<void> {
  await waitFor(async () => (await payloads(node, name)).length >= expected.length, {
    what: `${name} sees ${expected.length} messages`,
    timeout: PATIENCE,
    interval: 50,
  });
  assert.deepEqual(await payloads(node, name), expected);
}

/** Each at least once. */
async function seesAll(node: ErlangNode, name: string, expected: readonly string[]): Promise<void> {
  const missing = async (): Promise<string[]> => {
    const seen = new Set(await payloads(node, name));
    return expected.filter((payload) => !seen.has(payload));
  };
  await waitFor(async () => (await missing()).length === 0, {
    what: `${name} sees all`,
    timeout: PATIENCE,
    interval: 50,
  });
}

/** What runs: the release of EMQX, and what is different from the rest. */
interface Variant {
  readonly release: string;
  readonly async?: boolean;
  readonly redis?: boolean;
}

const VARIANTS: Readonly<Record<string, Variant>> = {
  "EMQX 5.8.0": { release: "5.8.0" },
  "EMQX 6.0.1": { release: "6.0.1" },
  "EMQX 6.0.1, acknowledgements that do not hold up routing": { release: "6.0.1", async: true },
  "EMQX 5.8.0 and Redis": { release: "5.8.0", redis: true },
};

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i));

for (const [name, variant] of Object.entries(VARIANTS)) {
  describe(`both ends with ${name}`, { skip: skip ?? (variant.redis ? redisSkip("single") : false) }, () => {
    test("what is published while a client is away waits for it, and goes when it is acknowledged", async (t) => {
      const { node, engine } = await start(t, variant);
      await node.call(connect("p"));
      for (const payload of numbered(1, 100)) assert.equal(await node.call(publish(payload)), "{puback,16}");
      assert.equal(await engine.countStored(), 100);
      await node.call(connect("a"));
      await node.call(subscribe("a", "t/+"));
      await seesExactly(node, "a", numbered(1, 100));
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty" });
      await node.gatesAreOpen();
      await node.call(publish("live"));
      await seesExactly(node, "a", [...numbered(1, 100), "live"]);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty" });
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });

    test("a backlog comes first, then what is published meanwhile, each once and in order", {
      timeout: 120_000,
    }, async (t) => {
      const { node, engine } = await start(t, variant);
      await node.call(connect("p"));
      const all = (from: number, to: number): string =>
        `[omp_client:publish(<<"p">>, <<"t/1">>, 1, integer_to_binary(N)) || N <- lists:seq(${from}, ${to})], ok`;
      await node.call(`begin ${all(1, 2000)} end`, PATIENCE);
      await node.call(connect("a", "#{receive_maximum => 32}"));
      const publishing = node.call(`begin ${all(2001, 3000)} end`, PATIENCE);
      await node.call(subscribe("a", "t/#"));
      await publishing;
      // What is published in the very moment of LIVE comes from the store there, behind newer ones.
      if (variant.async) await seesAll(node, "a", numbered(1, 3000));
      else await seesExactly(node, "a", numbered(1, 3000));
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty", timeout: PATIENCE });
    });

    test("subscriptions come back, and so does what was not acknowledged", async (t) => {
      const { node, engine } = await start(t, variant);
      await node.call(connect("p"));
      await node.call(connect("a", "#{acknowledges => false}"));
      await node.call(subscribe("a", "t/+"));
      await node.gatesAreOpen();
      await node.call(publish("1"));
      await seesExactly(node, "a", ["1"]);
      await node.call('omp_client:kill(<<"a">>)');
      await node.call(publish("2"));
      await node.call(connect("a"));
      await seesExactly(node, "a", ["1", "1", "2"]);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty" });
    });

    test("a session that is resumed gets each message once", async (t) => {
      const { node, engine } = await start(t, variant);
      await node.call(connect("p"));
      await node.call(connect("a", LASTING));
      await node.call(subscribe("a", "t/+"));
      await node.gatesAreOpen();
      await node.call('omp_client:disconnect(<<"a">>)');
      for (const payload of numbered(1, 50)) await node.call(publish(payload));
      await node.call(connect("a", LASTING));
      await seesExactly(node, "a", numbered(1, 50));
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty" });
    });

    test("a session that comes and goes gets each message once and in order", {
      timeout: 120_000,
    }, async (t) => {
      const random = seededRandom(`coming and going, ${name}`);
      const { node, engine } = await start(t, variant);
      await node.call(connect("p"));
      await node.call(connect("s", LASTING));
      await node.call(subscribe("s", "t/#"));
      const published: string[] = [];
      const steps: readonly (() => Promise<unknown>)[] = [
        async () => {
          for (let i = random.below(15); i > 0; i--) {
            published.push(String(published.length + 1));
            await node.call(publish(published.at(-1) ?? "", "t/1", 1 + random.below(2)));
          }
        },
        () => node.call('omp_client:disconnect(<<"s">>)'),
        () => node.call(connect("s", LASTING)),
        () => node.call(subscribe("s", "t/#", `#{qos => ${1 + random.below(2)}}`)),
        async () => {
          if (random.chance(0.3)) await node.gatesAreOpen();
        },
      ];
      let connected = true;
      for (let i = 0; i < 80; i++) {
        const step = random.below(steps.length);
        // Only who is connected says DISCONNECT or SUBSCRIBE.
        if ((step === 1 || step === 3) && !connected) continue;
        if (step === 1 || step === 2) connected = step === 2;
        if (step === 4 && !connected) continue;
        await steps[step]?.();
      }
      await node.call(connect("s", LASTING));
      if (variant.async) await seesAll(node, "s", published);
      else await seesExactly(node, "s", published);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty", timeout: PATIENCE });
    });

    test("a session that comes and goes while messages are published is owed none in the end", {
      timeout: 120_000,
    }, async (t) => {
      const random = seededRandom(`coming and going under load, ${name}`);
      const { node, engine } = await start(t, variant);
      await node.call(connect("s", LASTING));
      await node.call(subscribe("s", "t/#"));
      const published: string[] = [];
      const background: Promise<string>[] = [];
      const steps: readonly (() => Promise<unknown>)[] = [
        async () => {
          for (let i = random.below(15); i > 0; i--) {
            published.push(String(published.length + 1));
            const message = `emqx_message:make(<<"w">>, 1, <<"t/1">>, <<"${published.at(-1)}">>)`;
            background.push(node.call(`emqx_broker:publish(${message})`));
          }
        },
        () => node.call('omp_client:disconnect(<<"s">>)'),
        () => node.call(connect("s", LASTING)),
        () => node.call(subscribe("s", "t/#", `#{qos => ${1 + random.below(2)}}`)),
        async () => {
          if (random.chance(0.3)) await node.gatesAreOpen();
        },
      ];
      let connected = true;
      for (let i = 0; i < 150; i++) {
        const step = random.below(steps.length);
        // Only who is connected says DISCONNECT or SUBSCRIBE.
        if ((step === 1 || step === 3) && !connected) continue;
        if (step === 1 || step === 2) connected = step === 2;
        if (step === 4 && !connected) continue;
        await steps[step]?.();
      }
      await node.call(connect("s", LASTING));
      await Promise.all(background);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty", timeout: PATIENCE });
      const seen = await payloads(node, "s");
      assert.deepEqual(
        published.filter((payload) => !seen.includes(payload)),
        [],
      );
      t.diagnostic(`${seen.length} deliveries of ${published.length} messages`);
    });

    test("nothing that was acknowledged is lost, whatever breaks", { timeout: 180_000 }, async (t) => {
      const random = seededRandom(`both ends, ${name}`);
      const { node, engine } = await start(t, variant);
      await node.call(connect("p"));
      await node.call(connect("s", LASTING));
      await node.call(subscribe("s", "t/#"));
      const acknowledged: string[] = [];
      let next = 0;
      const publishSome = async (): Promise<void> => {
        for (let i = random.below(20); i > 0; i--) {
          next += 1;
          const payload = String(next);
          const seen = await node.call(publish(payload, `t/${random.below(3)}`, 1 + random.below(2)));
          if (/^\{pub(?:ack|rec),(?:0|16)\}$/.test(seen)) acknowledged.push(payload);
          else if (!seen.startsWith("{pub")) await node.call(connect("p"));
        }
      };
      const steps: readonly (() => Promise<unknown>)[] = [
        publishSome,
        publishSome,
        publishSome,
        () => node.call('catch omp_client:disconnect(<<"s">>)'),
        () => node.call('catch omp_client:kill(<<"s">>)'),
        () => node.call(connect("s", LASTING)),
        () => node.call(connect("s", `${LASTING.slice(0, -1)}, acknowledges => ${random.chance(0.5)}}`)),
        async () =>
          [...engine.emqx.links].find(({ nodeName }) => nodeName === "nonode@nohost")?.close(new Error("of the test")),
        async () => {
          await node.call(
            "exit(element(2, hd(ets:tab2list(emqx_omp_connections) ++ [{0, spawn(fun() -> ok end)}])), kill)",
          );
        },
        () => node.isUp(),
      ];
      for (let i = 0; i < 100; i++) await random.pick(steps)();
      await node.isWell();
      await node.call(connect("s", LASTING));
      await node.call(`omp_client:acknowledge(<<"s">>)`);
      const missing = async (): Promise<string[]> => {
        const seen = new Set(await payloads(node, "s"));
        return acknowledged.filter((payload) => !seen.has(payload));
      };
      await waitFor(async () => (await missing()).length === 0, { what: "all is delivered", timeout: 30_000 }).catch(
        () => {},
      );
      assert.deepEqual(await missing(), [], `of ${acknowledged.length}`);
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
      t.diagnostic(`${(await payloads(node, "s")).length} deliveries of ${acknowledged.length} messages`);
    });
  });
}
