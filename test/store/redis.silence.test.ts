// A server that accepts connections and then hangs does not hold an attempt to connect for long.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import { certificatesMissing, makeAuthority } from "../support/certificates.ts";
import { type RedisPlace, redisSkip, startSingle, startSingleWithRights } from "../support/redis.ts";
import { REDIS_HOST, type RedisServer } from "../support/redis-server.ts";
import { SilentServer } from "../support/silent-server.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { startStore } from "./redis-stores.ts";
import { sampleMessage } from "./sample-messages.ts";

/** How long a call may take, in ms: longer than any step on the way to a connection may. */
const TIMEOUT = 8_000;
/** How long such a step may take, and what a busy machine may add, in ms. */
const BOUND = 2_000;
const SLACK = 1_000;

const login = { username: "omp", password: "secret" };
const tls = { verify: "verify_none" } as const;

/** A store at this server whose start is not waited for: that settles only at the timeout. */
function startAt(scope: Scope, server: SilentServer, place: Partial<RedisPlace>): void {
  const servers = [{ host: REDIS_HOST, port: server.port }];
  startStore(scope, { mode: "single", servers, database: 0, ...place }, { timeout: TIMEOUT }).catch(() => {});
}

async function assertGivenUp({ stays }: SilentServer): Promise<void> {
  await waitFor(() => stays.length >= 2, { what: "two connections that were given up", timeout: TIMEOUT });
  for (const stay of stays) assert.ok(stay < BOUND + SLACK, `held for ${stay.toFixed(0)} ms`);
}

describe("a server that accepts and says nothing is given up in time", { concurrency: true }, () => {
  for (const [name, place, words] of [
    ["to the first question", {}, undefined],
    ["to AUTH", login, undefined],
    ["to SELECT", { database: 5 }, undefined],
    ["to SELECT after AUTH", { ...login, database: 5 }, ["+OK\r\n"]],
    ["in a TLS handshake", { ...login, tls }, undefined],
    ["to CLUSTER SLOTS", { mode: "cluster" }, undefined],
    ["to AUTH in a cluster", { mode: "cluster", ...login }, undefined],
    ["as a sentinel", { mode: "sentinel", sentinel: "mymaster" }, undefined],
    ["as a sentinel in a TLS handshake", { mode: "sentinel", sentinel: "mymaster", tls }, undefined],
  ] satisfies [string, Partial<RedisPlace>, readonly string[] | undefined][]) {
    test(name, async (t) => {
      const server = await SilentServer.start(t, words === undefined ? {} : { words });
      startAt(t, server, place);
      await assertGivenUp(server);
    });
  }

  test("to AUTH after a TLS handshake", { skip: certificatesMissing }, async (t) => {
    const files = await makeAuthority(temporaryDirectory(t), "server");
    const own = { cert: readFileSync(files.certfile), key: readFileSync(files.keyfile) };
    const server = await SilentServer.start(t, { tls: own });
    startAt(t, server, { ...login, tls });
    await assertGivenUp(server);
  });

  test("a node of a cluster that tells where the slots are, and nothing else", async (t) => {
    const silent = await SilentServer.start(t);
    const slots = `*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n${REDIS_HOST}\r\n:${silent.port}\r\n`;
    const telling = await SilentServer.start(t, { words: ["+OK\r\n", slots] });
    startAt(t, telling, { mode: "cluster" });
    await assertGivenUp(silent);
  });
});

describe("Redis hangs for longer than a call may take, and is well again at once when it wakes", {
  skip: redisSkip("single"),
  concurrency: true,
}, () => {
  for (const [name, start] of [
    ["without a password", startSingle],
    ["with a password", startSingleWithRights],
  ] as const) {
    test(name, async (t) => {
      const { place, servers } = await start(t);
      const [server] = servers as [RedisServer];
      const { store } = await startStore(t, place, { timeout: BOUND + SLACK });
      server.pause();
      t.after(() => server.continue());
      await assert.rejects(store.saveMessage(sampleMessage("t")), StoreUnavailableError);
      await assert.rejects(store.saveMessage(sampleMessage("t")), StoreUnavailableError);
      server.continue();
      await waitFor(() => store.health().status === "ok", { what: "health ok", timeout: BOUND });
      await store.saveMessage(sampleMessage("t"));
    });
  }
});
