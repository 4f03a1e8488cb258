// What callers see when a single Redis fails, and that all works again when the cause is gone.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Logger } from "../../src/mqtt/logger.ts";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import {
  type RedisSetup,
  redisSkip,
  STORE_PASSWORD,
  STORE_USER,
  startSingle,
  startSingleWithRights,
} from "../support/redis.ts";
import { REDIS_HOST, type RedisServer } from "../support/redis-server.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { assertTold, Publishing } from "./publishing.ts";
import { startStore } from "./redis-stores.ts";
import { keyOf, payloads, readAll, sampleMessage, sampleMessages, saveAll, silentLogger } from "./sample-messages.ts";

/** How long a call may take, in ms. */
const TIMEOUT = 500;
/** More than a busy machine needs for anything here, in ms: only what hangs takes longer. */
const HANGS = 10_000;
const TOPICS = ["a", "b/c", "b/d", "e", "f"];

const skip = redisSkip("single");

/** A server behind a proxy. */
async function startProxied(scope: Scope): Promise<RedisSetup & { readonly proxy: TcpProxy }> {
  const setup = await startSingle(scope);
  const proxy = await TcpProxy.start(scope, { host: REDIS_HOST, port: serverOf(setup).port });
  const place = { ...setup.place, servers: [{ host: REDIS_HOST, port: proxy.port }] };
  return { ...setup, place, proxy };
}

function serverOf({ servers }: RedisSetup): RedisServer {
  return servers[0] as RedisServer;
}

/** A store and publishers on it. */
async function startPublishing(scope: Scope, setup: RedisSetup) {
  const started = await startStore(scope, setup.place, { timeout: TIMEOUT });
  const publishing = new Publishing(scope, started.store, TOPICS);
  await publishing.goesOn(20);
  return { ...started, publishing, server: serverOf(setup) };
}

type Started = Awaited<ReturnType<typeof startPublishing>>;

/** All goes on, what was acknowledged is there in order, each once, and the health told of the fault once. */
async function assertRecovered({ store, healths, publishing }: Started): Promise<void> {
  await publishing.goesOn(20);
  await publishing.end();
  publishing.assertInTime(TIMEOUT);
  for (const topic of TOPICS) {
    const stored = (await readAll(store, topic)).map(({ message }) => message.id);
    assert.deepEqual(stored, [...new Set(stored)].sort(), "in order, each once");
    const acknowledged = publishing.acknowledged.filter((message) => message.topic === topic);
    const ids = new Set(stored);
    assert.deepEqual(
      acknowledged.filter(({ id }) => !ids.has(id)).map(({ id }) => id),
      [],
      "nothing that was acknowledged is lost",
    );
  }
  await assertTold(store, healths, 1);
}

describe("a single Redis", { skip }, () => {
  test("is killed, and comes back with its data", async (t) => {
    const started = await startPublishing(t, await startSingle(t));
    const { server, publishing, store } = started;
    await server.kill();
    await publishing.isRefused();
    assert.match((await store.checkHealth()).error?.message ?? "", new RegExp(`${server.port}`), "which server");
    await assert.rejects(store.readPage({ topicFilter: "a", maxMessages: 1, maxBytes: 1 }), StoreUnavailableError);
    await server.restart();
    await assertRecovered(started);
  });

  test("is killed while nobody calls: the health tells it all the same, and that it is back", async (t) => {
    const { servers, place } = await startSingle(t);
    const { store, healths } = await startStore(t, place, { timeout: HANGS });
    const [server] = servers as [RedisServer];
    await server.kill();
    await waitFor(() => healths.length > 0, { what: "the break is told" });
    assert.match(healths[0]?.error?.message ?? "", /cannot be reached \(.+\)/);
    await server.restart();
    await assertTold(store, healths, 1);
  });

  test("cuts idle connections that can be made again: nothing is told", async (t) => {
    const { servers, place } = await startSingle(t);
    const { store, healths } = await startStore(t, place, { timeout: HANGS });
    const client = await (servers[0] as RedisServer).connect();
    // By the last command that came over each: the store's look at the server ends with this one.
    const lookedThrough = async (): Promise<string[]> =>
      Array.from(
        String(await client.text("CLIENT", "LIST")).matchAll(/^(id=\d+) .* cmd=hdel /gm),
        ([, id]) => id ?? "",
      );
    await store.checkHealth();
    const before = await lookedThrough();
    assert.equal(before.length, 2);
    await client.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const areNew = async () => {
      const now = await lookedThrough();
      return now.length === 2 && !now.some((id) => before.includes(id));
    };
    await waitFor(areNew, { what: "connections that are made again, and work" });
    assert.equal((await store.checkHealth()).status, "ok");
    assert.deepEqual(healths, []);
  });

  test("hangs for longer than the timeout", async (t) => {
    const started = await startPublishing(t, await startSingle(t));
    const { server, publishing, store } = started;
    server.pause();
    await publishing.isRefused();
    assert.equal(store.health().status, "error");
    const begin = performance.now();
    assert.equal((await store.checkHealth()).status, "error");
    assert.ok(performance.now() - begin < HANGS, "the health is told in time");
    server.continue();
    await assertRecovered(started);
  });

  test("hangs for less than the timeout: nothing is refused", async (t) => {
    const { servers, place } = await startSingle(t);
    const { store, healths } = await startStore(t, place, { timeout: HANGS });
    const [server] = servers as [RedisServer];
    server.pause();
    const saves = sampleMessages("t", 100).map((message) => store.saveMessage(message));
    server.continue();
    await Promise.all(saves);
    assert.deepEqual(healths, []);
  });

  test("is silent, as when a cable is pulled, and the connection stays open", async (t) => {
    const setup = await startProxied(t);
    const started = await startPublishing(t, setup);
    setup.proxy.silence();
    await started.publishing.isRefused();
    setup.proxy.resume();
    await assertRecovered(started);
  });

  for (const [name, call] of [
    ["a save", "save"],
    ["a page", "read"],
    ["a removal", "delete"],
  ] as const) {
    test(`the connection is cut half-way through the reply to ${name}`, async (t) => {
      const { place, proxy } = await startProxied(t);
      const { store } = await startStore(t, place, { timeout: HANGS });
      const messages = sampleMessages("t", 50);
      await saveAll(store, messages.slice(0, 40));
      const calls = {
        save: () => saveAll(store, messages.slice(40)),
        read: () => readAll(store, "t"),
        delete: () => store.deleteMessages(messages.slice(0, 20).map(keyOf)),
      };
      const cut = proxy.cutAfter(7);
      // Either it is tried again until it is done, or the caller is told.
      const [outcome] = await within(Promise.allSettled([calls[call](), cut]), { what: "the call and the cut" });
      if (outcome.status === "rejected") assert.ok(outcome.reason instanceof StoreUnavailableError);
      if (call === "save" && outcome.status === "rejected") await saveAll(store, messages.slice(40));
      if (call === "delete" && outcome.status === "rejected") {
        await store.deleteMessages(messages.slice(0, 20).map(keyOf));
      }
      const from = call === "delete" ? 20 : 0;
      const end = call === "save" ? 50 : 40;
      assert.deepEqual(
        await payloads(store, "t"),
        Array.from({ length: end - from }, (_, at) => String(from + at)),
      );
      assert.equal(store.health().status, "ok");
    });
  }

  test("connections are cut again and again", async (t) => {
    const { place, proxy } = await startProxied(t);
    const { store } = await startStore(t, place);
    const publishing = new Publishing(t, store, TOPICS);
    for (let bytes = 1; bytes < 40; bytes += 3) {
      await publishing.goesOn(2);
      await proxy.cutAfter(bytes);
    }
    await publishing.goesOn(2);
    await publishing.end();
    for (const topic of TOPICS) {
      const ids = new Set((await readAll(store, topic)).map(({ message }) => message.id));
      const lost = publishing.acknowledged.filter((message) => message.topic === topic && !ids.has(message.id));
      assert.deepEqual(lost, []);
    }
  });

  test("has no memory left: messages are refused, fetched ones make room", async (t) => {
    const started = await startPublishing(t, await startSingle(t));
    const { server, publishing, store } = started;
    await server.with(async (client) => {
      await client.command("CONFIG", "SET", "maxmemory-policy", "noeviction");
      await client.command("CONFIG", "SET", "maxmemory", "1");
    });
    assert.match((await publishing.isRefused()).message, /memory/);
    const [first] = (await readAll(store, "a")).map(({ message }) => message);
    assert.ok(first, "reading works");
    await store.deleteMessages([keyOf(first)]);
    publishing.acknowledged.splice(
      publishing.acknowledged.findIndex(({ id }) => id === first.id),
      1,
    );
    assert.equal(store.health().status, "error", "still no room");
    assert.equal((await store.checkHealth()).status, "error", "asking does not make room");
    await server.with((client) => client.command("CONFIG", "SET", "maxmemory", "0"));
    await assertRecovered(started);
  });

  test("what was refused for want of memory leaves nothing behind", async (t) => {
    const { servers, place } = await startSingle(t);
    const { store } = await startStore(t, place, { timeout: TIMEOUT });
    const [server] = servers as [RedisServer];
    await server.with((client) => client.command("CONFIG", "SET", "maxmemory", "1"));
    await assert.rejects(store.saveMessage(sampleMessage("t", "x")), StoreUnavailableError);
    await server.with((client) => client.command("CONFIG", "SET", "maxmemory", "0"));
    await store.stop();
    const left = await server.with((client) => client.keys());
    assert.deepEqual(
      left.filter((key) => !key.includes("#")),
      [],
    );
  });

  test("has another password", async (t) => {
    const started = await startPublishing(t, await startSingleWithRights(t));
    const { server, publishing, store } = started;
    await server.with(async (client) => {
      await client.command("ACL", "SETUSER", STORE_USER, "resetpass", ">another");
      await client.command("CLIENT", "KILL", "USER", STORE_USER);
    });
    await publishing.isRefused();
    assert.match((await store.checkHealth()).error?.message ?? "", /password/);
    await server.with((client) => client.command("ACL", "SETUSER", STORE_USER, "resetpass", `>${STORE_PASSWORD}`));
    await assertRecovered(started);
  });

  for (const command of ["zadd", "hset", "expire"]) {
    test(`takes the right to ${command} away`, async (t) => {
      const started = await startPublishing(t, await startSingleWithRights(t));
      const { server, publishing, store } = started;
      await server.with((client) => client.command("ACL", "SETUSER", STORE_USER, `-${command}`));
      assert.match((await publishing.isRefused()).message, /right|permission/);
      assert.equal((await store.checkHealth()).status, "error", "that other commands work heals nothing");
      await server.with((client) => client.command("ACL", "SETUSER", STORE_USER, `+${command}`));
      await assertRecovered(started);
    });
  }

  test("every right that is missing is found by asking, and asking changes nothing", async (t) => {
    const { servers, place } = await startSingleWithRights(t);
    const client = await (servers[0] as RedisServer).connect();
    const { store } = await startStore(t, place, { timeout: HANGS });
    const setUser = (...rules: string[]) => client.command("ACL", "SETUSER", STORE_USER, ...rules);
    for (const command of "hset hdel hgetall del expire zadd zrange zremrangebyscore zrem".split(" ")) {
      await setUser(`-${command}`);
      assert.match((await store.checkHealth()).error?.message ?? "ok", new RegExp(`right.*'${command}'`));
      await setUser(`+${command}`);
      assert.equal((await store.checkHealth()).status, "ok", command);
    }
    for (const pattern of ["~mqtt:msg:*", "~mqtt:sub:*"]) {
      await setUser("resetkeys", pattern);
      assert.match(
        (await store.checkHealth()).error?.message ?? "ok",
        /right.* keys.*~mqtt:msg:\* and ~mqtt:sub:\*/,
        pattern,
      );
    }
    assert.deepEqual(await client.keys(), []);
  });

  for (const [name, start, database, message] of [
    ["may not be selected", startSingleWithRights, 5, /right.*'select'/],
    ["does not exist", startSingle, 99, /no such database/],
  ] as const) {
    test(`the database ${name}: nothing is stored in another one`, async (t) => {
      const { servers, place } = await start(t);
      const client = await (servers[0] as RedisServer).connect();
      const { store, healths } = await startStore(t, { ...place, database }, { timeout: TIMEOUT });
      await assert.rejects(store.saveMessage(sampleMessage("t")), message);
      assert.match((await store.checkHealth()).error?.message ?? "ok", message);
      assert.deepEqual(await client.keys(), []);
      if (start === startSingle) return;
      await client.command("ACL", "SETUSER", STORE_USER, "+select");
      const publishing = new Publishing(t, store, ["t"]);
      await publishing.goesOn(1);
      await publishing.end();
      await assertTold(store, healths, 1);
      assert.deepEqual(await client.keys(), []);
    });
  }

  test("is not there at the start: start settles, calls are refused, and all works once it is there", async (t) => {
    const { servers, place } = await startSingle(t);
    const [server] = servers as [RedisServer];
    await server.kill();
    const begin = performance.now();
    const { store, healths } = await startStore(t, place, { timeout: TIMEOUT });
    assert.equal(store.health().status, "error");
    await assert.rejects(store.saveMessage(sampleMessage("t")), StoreUnavailableError);
    assert.ok(performance.now() - begin < HANGS);
    await server.restart();
    const publishing = new Publishing(t, store, ["t"]);
    await publishing.goesOn(1);
    await publishing.end();
    await assertTold(store, healths, 1);
  });

  for (const [name, hurt] of [
    ["gone", (server: RedisServer) => server.kill()],
    ["hanging", (server: RedisServer) => server.pause()],
  ] as const) {
    test(`is ${name} when the store is stopped: the calls that wait are settled, and stop does not hang`, async (t) => {
      const { servers, place } = await startSingle(t);
      const { store } = await startStore(t, place, { timeout: TIMEOUT });
      await hurt(servers[0] as RedisServer);
      const waiting = Promise.allSettled(sampleMessages("t", 10).map((message) => store.saveMessage(message)));
      await within(store.stop(), { what: "the stop", timeout: HANGS });
      assert.deepEqual([...new Set((await waiting).map(({ status }) => status))], ["rejected"]);
    });
  }

  test("calls and bytes that wait are bounded", async (t) => {
    const { servers, place } = await startSingle(t);
    const { store } = await startStore(t, place, { timeout: 2_000 });
    (servers[0] as RedisServer).pause();
    const megabyte = Buffer.alloc(1024 * 1024);
    const properties = { userProperties: [["name", megabyte.toString("latin1")]] } as const;
    const outcomes = Promise.allSettled(
      Array.from({ length: 300 }, (_, at) =>
        store.saveMessage(at < 150 ? sampleMessage("t", "", { properties }) : sampleMessage("t", megabyte)),
      ),
    );
    const small = await Promise.allSettled(Array.from({ length: 200_000 }, () => store.deleteSubscription("c", "t")));
    const all = [...(await outcomes), ...small].map((outcome) => outcome.status === "rejected" && outcome.reason);
    assert.ok(
      all.every((error) => error instanceof StoreUnavailableError),
      "all are refused",
    );
    assert.ok(
      all.slice(70, 300).every((error) => /More calls wait/.test(error.message)),
      "bytes of properties and payloads",
    );
    assert.ok(
      all.slice(300).some((error) => /More calls wait/.test(error.message)),
      "calls",
    );
  });
});

describe("the append-only file", { skip }, () => {
  for (const [name, start, change, warning] of [
    ["is on: no warning", startSingle, [], undefined],
    ["is off: a warning", startSingle, ["CONFIG", "SET", "appendonly", "no"], /append.?only/i],
    ["cannot be asked about: a warning", startSingleWithRights, [], /append.?only/i],
  ] as const) {
    test(name, async (t) => {
      const { servers, place } = await start(t);
      if (change.length > 0) await (servers[0] as RedisServer).with((client) => client.command(...change));
      const warnings: string[] = [];
      const logger: Logger = { ...silentLogger, warn: (...args: unknown[]) => warnings.push(args.join(" ")) };
      const { store } = await startStore(t, place, { logger });
      await store.saveMessage(sampleMessage("t"));
      const about = warnings.filter((text) => /append.?only/i.test(text));
      assert.equal(about.length, warning === undefined ? 0 : 1, warnings.join("\n"));
    });
  }
});
