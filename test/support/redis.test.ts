// The Redis servers, the client and the proxy that other tests rely on.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { describe, test } from "node:test";
import {
  ADMINISTRATOR_PASSWORD,
  type RedisSetup,
  redisSetups,
  redisSkip,
  STORE_PASSWORD,
  STORE_USER,
  startCluster,
  startSentinel,
  startSingle,
} from "./redis.ts";
import { RedisClient } from "./redis-client.ts";
import { type RedisReply, ReplyParser } from "./redis-replies.ts";
import { REDIS_HOST, type RedisServer } from "./redis-server.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import { waitFor } from "./wait-for.ts";

const skip = redisSkip("single");

test("replies are read whole, however they are cut", () => {
  const text = "+OK\r\n-WRONGTYPE no hash\r\n:-7\r\n$-1\r\n$8\r\na\r\nb😀\r\n*3\r\n:1\r\n*1\r\n$0\r\n\r\n*-1\r\n";
  const bytes = Buffer.from(text);
  for (const size of [1, 2, 7, bytes.length]) {
    const replies: RedisReply[] = [];
    const parser = new ReplyParser((reply) => replies.push(reply));
    for (let at = 0; at < bytes.length; at += size) parser.push(bytes.subarray(at, at + size));
    assert.deepEqual(
      replies.map((reply) => (reply instanceof Error ? reply.message : reply)),
      ["OK", "WRONGTYPE no hash", -7, null, Buffer.from("a\r\nb😀"), [1, [Buffer.alloc(0)], null]],
      `in pieces of ${size}`,
    );
  }
});

describe("set-ups", { concurrency: true }, () => {
  for (const [name, start] of Object.entries(redisSetups)) {
    test(name, { skip: redisSkip(name as keyof typeof redisSetups) }, async (t) => {
      let setup: RedisSetup | undefined;
      await t.test("works", async (inner) => {
        setup = await start(inner);
        const masters = await setup.masters();
        assert.equal(masters.length, name === "cluster" ? 3 : 1);
        const [master] = masters as [RedisServer];
        const client = await master.connect({ database: setup.place.database });
        const key = await keyAt(client);
        await client.command("HSET", key, "payload", Buffer.from([0, 255, 13, 10]));
        assert.deepEqual(await client.command("HGET", key, "payload"), Buffer.from([0, 255, 13, 10]));
        assert.deepEqual(await client.keys(), [key]);
        await setup.flush();
        assert.deepEqual(await client.keys(), []);
        await assert.rejects(client.command("HSET", key), { code: "ERR" });
      });
      for (const { pid, port } of setup?.servers ?? []) {
        assert.equal(existsSync(`/proc/${pid}`), false, "ended with its test");
        await assert.rejects(RedisClient.connect({ port }), { code: "ECONNREFUSED" });
      }
    });
  }
});

test("the store's user may do what EMQX' plugin asks for, and nothing else", { skip }, async (t) => {
  const { servers } = await redisSetups["single, ACL"](t);
  const client = await (servers[0] as RedisServer).connect({ username: STORE_USER, password: STORE_PASSWORD });
  await client.command("ZADD", "mqtt:msg:t", "NX", 1, "a");
  await client.command("HMSET", "mqtt:sub:c", "t", 1);
  for (const command of [
    "SELECT 0",
    "PING",
    "INFO",
    "TTL mqtt:msg:t",
    "SCAN 0",
    "MULTI",
    "ZCARD mqtt:msg:t",
    "FLUSHALL",
  ]) {
    await assert.rejects(client.command(...command.split(" ")), { code: "NOPERM" }, command);
  }
  await assert.rejects(client.command("HSET", "other", "a", "b"), { code: "NOPERM" });
});

test("a server that is killed comes back on the same port with its data, and one that is paused goes on", {
  skip,
}, async (t) => {
  const { servers } = await startSingle(t);
  const [server] = servers as [RedisServer];
  await server.with((client) => client.command("SET", "a", "b"));
  await server.kill();
  await assert.rejects(RedisClient.connect({ port: server.port }), { code: "ECONNREFUSED" });
  await server.restart("--maxmemory", "2mb");
  const client = await server.connect();
  assert.equal(await client.text("GET", "a"), "b");
  assert.deepEqual(await client.text("CONFIG", "GET", "maxmemory"), ["maxmemory", String(2 * 1024 * 1024)]);
  server.pause();
  let isAnswered = false;
  const answer = client.command("PING").then(() => {
    isAnswered = true;
  });
  await waitFor(() => server.state === "T", { what: "a stopped process" });
  assert.equal(isAnswered, false);
  server.continue();
  await answer;
});

test("a master is replaced, on request and when it is killed", { skip }, async (t) => {
  const { sentinels, masters } = await startSentinel(t);
  const [first] = (await masters()) as [RedisServer];
  const second = await sentinels.failover();
  assert.notEqual(second, first);
  await second.kill();
  const third = await sentinels.replaced(second);
  assert.notEqual(third, second);
});

test("a slot moves, and a replica takes over", { skip }, async (t) => {
  const { cluster } = await startCluster(t);
  const key = "mqtt:msg:t";
  const slot = await cluster.slotOf(key);
  const from = await cluster.masterOf(key);
  await from.with((client) => client.command("HSET", key, "a", "b"));
  const to = (await cluster.masters()).find((server) => server !== from) as RedisServer;
  await cluster.beginMove(slot, from, to);
  assert.equal(await cluster.moveKeys(slot, from, to, 10, ADMINISTRATOR_PASSWORD), 1);
  await assert.rejects(
    from.with((client) => client.command("HGETALL", key)),
    { code: "ASK" },
  );
  await cluster.endMove(slot, to);
  assert.equal(await cluster.masterOf(key), to);
  assert.deepEqual(await to.with((client) => client.hash(key)), { a: "b" });
  await cluster.killAndReplace(to);
  const replica = await cluster.masterOf(key, from);
  assert.notEqual(replica, to);
  assert.deepEqual(await replica.with((client) => client.hash(key)), { a: "b" });
});

test("a proxy cuts replies half-way, and can be silent", { skip }, async (t) => {
  const { servers } = await startSingle(t);
  const proxy = await TcpProxy.start(t, { host: REDIS_HOST, port: (servers[0] as RedisServer).port });
  const client = await RedisClient.connect({ port: proxy.port });
  await client.command("SET", "a", "0123456789");
  const socket = connect({ host: "127.0.0.1", port: proxy.port });
  t.after(() => socket.destroy());
  const received: Buffer[] = [];
  socket.on("data", (chunk) => received.push(chunk));
  await once(socket, "connect");
  const cut = proxy.cutAfter(8);
  socket.write("GET a\r\n");
  await Promise.all([cut, once(socket, "close")]);
  assert.equal(Buffer.concat(received).toString(), "$10\r\n012");
  const again = await RedisClient.connect({ port: proxy.port });
  t.after(() => again.close());
  proxy.silence();
  let isAnswered = false;
  const answer = again.command("GET", "a").then(() => {
    isAnswered = true;
  });
  // Another connection, past the proxy, shows that the server would have answered.
  await (servers[0] as RedisServer).with((direct) => direct.command("PING"));
  assert.equal(isAnswered, false);
  proxy.resume();
  await answer;
  assert.equal(proxy.connections, 3);
});

/** A key that this node serves; any, where there is no cluster. */
async function keyAt(client: RedisClient): Promise<string> {
  for (let number = 0; ; number++) {
    try {
      await client.command("HGETALL", `key ${number}`);
      return `key ${number}`;
    } catch (error) {
      assert.match(String(error), /MOVED/);
    }
  }
}
