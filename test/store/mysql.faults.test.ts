// What callers see when MySQL or the way to it fails, and that all works again when the cause is gone.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import { loginOf, mariadbSkip, startPlain } from "../support/mariadb.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { assertRecovered, behindProxy, endSessions, HANGS, startPublishing, TIMEOUT, TOPICS } from "./mysql-faults.ts";
import { startStore } from "./mysql-stores.ts";
import { assertTold, Publishing } from "./publishing.ts";
import { keyOf, readAll, sampleMessage, sampleMessages, saveAll } from "./sample-messages.ts";

describe("MySQL", { skip: mariadbSkip("plain") }, () => {
  test("is killed, and comes back with its data", async (t) => {
    const started = await startPublishing(t, await startPlain(t));
    const { setup, publishing, store } = started;
    await setup.server.kill();
    await publishing.isRefused();
    assert.match((await store.checkHealth()).error?.message ?? "", new RegExp(`${setup.place.port}`), "which server");
    await assert.rejects(store.readPage({ topicFilter: "a", maxMessages: 1, maxBytes: 1 }), StoreUnavailableError);
    await setup.server.restart();
    await assertRecovered(started);
  });

  test("is shut down in order and started again", async (t) => {
    const started = await startPublishing(t, await startPlain(t));
    const { setup, publishing } = started;
    await setup.server.stop();
    await publishing.isRefused();
    await setup.server.restart();
    await assertRecovered(started);
  });

  test("hangs for longer than the timeout", async (t) => {
    const started = await startPublishing(t, await startPlain(t));
    const { setup, publishing, store } = started;
    setup.server.pause();
    await publishing.isRefused();
    assert.equal(store.health().status, "error");
    const begin = performance.now();
    assert.equal((await store.checkHealth()).status, "error");
    assert.ok(performance.now() - begin < HANGS, "the health is told in time");
    setup.server.continue();
    await assertRecovered(started);
  });

  test("hangs for less than the timeout: nothing is refused", async (t) => {
    const { server, place } = await startPlain(t);
    const { store, healths } = await startStore(t, place, { timeout: HANGS });
    server.pause();
    const saves = sampleMessages("t", 100).map((message) => store.saveMessage(message));
    server.continue();
    await Promise.all(saves);
    assert.deepEqual(healths, []);
  });

  test("hangs while nobody publishes: a read finds out, and reads go on by themselves", async (t) => {
    const { server, place } = await startPlain(t);
    const { store, healths } = await startStore(t, place, { timeout: TIMEOUT });
    await store.saveMessage(sampleMessage("t", "kept"));
    server.pause();
    await assert.rejects(store.readPage({ topicFilter: "t", maxMessages: 1, maxBytes: 1 }), StoreUnavailableError);
    await waitFor(() => store.health().status === "error", { what: "the health that tells of it" });
    server.continue();
    await assertTold(store, healths, 1);
    assert.equal((await readAll(store, "t")).length, 1);
  });

  test("is silent, as when a cable is pulled, and the connections stay open", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const started = await startPublishing(t, setup);
    setup.proxy.silence();
    await started.publishing.isRefused();
    setup.proxy.resume();
    await assertRecovered(started);
  });

  test("ends the connections of the store while it does nothing: the next call works", async (t) => {
    const setup = await startPlain(t);
    const { store, healths } = await startStore(t, setup.place);
    await store.saveMessage(sampleMessage("t", "before"));
    await setup.with((client) => endSessions(client, setup));
    const [page] = await Promise.all([readAll(store, "t"), store.saveMessage(sampleMessage("t", "after"))]);
    assert.ok(page.length > 0);
    assert.equal((await readAll(store, "t")).length, 2);
    await assertTold(store, healths, undefined);
    assert.ok(healths.length <= 2, "told once");
  });

  test("ends connections again and again during traffic", async (t) => {
    const setup = await startPlain(t);
    const started = await startPublishing(t, setup);
    const administrator = await setup.server.connect();
    for (let round = 0; round < 10; round++) {
      await endSessions(administrator, setup);
      await started.publishing.goesOn(2);
    }
    await assertRecovered(started, "any");
  });

  test("connections are cut again and again", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const started = await startPublishing(t, setup);
    for (let bytes = 1; bytes < 40; bytes += 3) {
      await setup.proxy.cutAfter(bytes);
      await started.publishing.goesOn(2);
    }
    await assertRecovered(started, "any");
  });

  test("is not there at the start: start settles, calls are refused, and all works once it is there", async (t) => {
    const { server, place } = await startPlain(t);
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

  test("was restarted: connections of others that have the ids of earlier ones are left alone", async (t) => {
    const setup = await startPlain(t);
    const started = await startPublishing(t, setup);
    await setup.server.kill();
    await started.publishing.isRefused();
    await setup.server.restart({ max_connections: 200 });
    // They have the low ids that the store's own ones had before.
    const others = await Promise.all(Array.from({ length: 30 }, () => setup.server.connect(loginOf(setup.place))));
    await assertRecovered(started);
    for (const other of others) assert.equal((await other.query("SELECT 1 AS one"))[0]?.one, 1);
  });

  for (const [name, hurt] of [
    ["gone", "kill"],
    ["hanging", "pause"],
  ] as const) {
    test(`is ${name} when the store is stopped: the calls that wait are settled, and stop does not hang`, async (t) => {
      const { server, place } = await startPlain(t);
      const { store } = await startStore(t, place, { timeout: TIMEOUT });
      await server[hurt]();
      const saves = sampleMessages("t", 10).map((message) => store.saveMessage(message));
      const waiting = Promise.allSettled([...saves, readAll(store, "t"), store.totals()]);
      await within(store.stop(), { what: "the stop", timeout: HANGS });
      assert.deepEqual([...new Set((await waiting).map(({ status }) => status))], ["rejected"]);
    });
  }

  test("the store is stopped before it has connected", async (t) => {
    const { server, place } = await startPlain(t);
    server.pause();
    const { store } = await startStore(t, place, { timeout: TIMEOUT });
    await within(store.stop(), { what: "the stop", timeout: HANGS });
    server.continue();
    assert.equal((await store.checkHealth()).status, "error");
  });

  test("the store is stopped during traffic: what was called is done, what comes later refused", async (t) => {
    const setup = await startPlain(t);
    const started = await startPublishing(t, setup, { timeout: HANGS });
    const { store, publishing } = started;
    const saves = Promise.all(sampleMessages("more", 500).map((message) => store.saveMessage(message)));
    const reads = Promise.all(
      TOPICS.map((topic) => store.readPage({ topicFilter: topic, maxMessages: 9, maxBytes: 9 })),
    );
    await within(Promise.all([store.stop(), saves, reads]), { what: "the stop", timeout: HANGS });
    await publishing.isRefused();
    await publishing.end();
    const stored = await setup.with((client) => client.query("SELECT msgid FROM mqtt_msg"));
    const ids = new Set(stored.map(({ msgid }) => msgid));
    assert.deepEqual(
      publishing.acknowledged.filter(({ id }) => !ids.has(id)),
      [],
    );
  });

  test("calls and bytes that wait are bounded", async (t) => {
    const { server, place } = await startPlain(t);
    const { store } = await startStore(t, place, { timeout: 2_000 });
    server.pause();
    const megabyte = Buffer.alloc(60_000);
    const large = Promise.allSettled(
      Array.from({ length: 1_300 }, () => store.saveMessage(sampleMessage("t", megabyte))),
    );
    const small = await Promise.allSettled(Array.from({ length: 200_000 }, () => store.deleteSubscription("c", "t")));
    const reasons = (outcomes: PromiseSettledResult<unknown>[]) =>
      outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason);
    const [bytes, calls] = [reasons(await large), reasons(small)];
    assert.ok(
      [...bytes, ...calls].every((error) => error instanceof StoreUnavailableError),
      "all are refused",
    );
    assert.ok(
      bytes.slice(1_200).every(({ message }) => /More calls wait/.test(message)),
      "bytes",
    );
    assert.ok(
      calls.some(({ message }) => /More calls wait/.test(message)),
      "calls",
    );
    server.continue();
    // What the server has got of so many calls is done first.
    await waitFor(async () => (await store.checkHealth()).status === "ok", { what: "health ok", timeout: 60_000 });
    await saveAll(store, [sampleMessage("after")]);
    const [stored] = await readAll(store, "after");
    assert.ok(stored);
    await store.deleteMessages([keyOf(stored.message)]);
  });
});
