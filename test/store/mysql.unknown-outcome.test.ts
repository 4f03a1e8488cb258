// A connection that breaks while statements are under way: nobody knows what they did, yet nothing is lost or done twice.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StoreHealth } from "../../src/store/store.ts";
import { loginOf, mariadbSkip, startPlain } from "../support/mariadb.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { assertStoredOnce, behindProxy, blockedSession, HANGS, type Proxied, sessions } from "./mysql-faults.ts";
import { startStore } from "./mysql-stores.ts";
import { assertTold } from "./publishing.ts";
import { keyOf, payloads, readAll, sampleMessages, saveAll } from "./sample-messages.ts";

/** As many messages as a statement may have that is prepared for each number. */
const BATCH = 16;

const numbers = (from: number, end: number) => Array.from({ length: end - from }, (_, at) => String(from + at));

async function assertStored(setup: Proxied, store: Parameters<typeof payloads>[0], count: number): Promise<void> {
  await assertStoredOnce(setup);
  assert.deepEqual(await payloads(store, "t"), numbers(0, count), "in order, each once");
}

async function assertToldOnce(store: Parameters<typeof assertTold>[0], healths: StoreHealth[]): Promise<void> {
  await assertTold(store, healths, 1);
}

describe("a statement whose outcome is not known", { skip: mariadbSkip("plain") }, () => {
  // 0: nothing of the answer comes; 7: a part of it.
  for (const bytes of [0, 7]) {
    for (const call of ["save", "read", "delete"] as const) {
      test(`the connection is cut after ${bytes} bytes of the answer to a ${call}`, async (t) => {
        const setup = await behindProxy(t, await startPlain(t));
        const { store, healths } = await startStore(t, setup.place, { timeout: HANGS });
        const messages = sampleMessages("t", 3 * BATCH);
        // All statements are prepared by then, so that the answer is that of the call itself.
        await saveAll(store, messages.slice(0, BATCH));
        await saveAll(store, messages.slice(BATCH, 2 * BATCH));
        assert.equal((await readAll(store, "t")).length, 2 * BATCH);
        const others = sampleMessages("other", 2);
        await saveAll(store, others);
        await store.deleteMessages(others.map(keyOf));
        const calls = {
          save: () => saveAll(store, messages.slice(2 * BATCH)),
          read: async () => assert.equal((await readAll(store, "t")).length, 2 * BATCH),
          delete: () => store.deleteMessages(messages.slice(0, 2).map(keyOf)),
        };
        const cut = setup.proxy.cutAfter(bytes);
        await within(Promise.all([calls[call](), cut]), { what: "the call and the cut" });
        await assertStoredOnce(setup);
        const [from, end] = [call === "delete" ? 2 : 0, (call === "save" ? 3 : 2) * BATCH];
        assert.deepEqual(await payloads(store, "t"), numbers(from, end));
        await assertToldOnce(store, healths);
      });
    }
  }

  test("a statement that waits for a lock is ended before its messages are saved again", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store, healths } = await startStore(t, setup.place, { timeout: HANGS });
    const messages = sampleMessages("t", 2 * BATCH);
    await saveAll(store, messages.slice(0, BATCH));
    const [locker, administrator] = await Promise.all([
      setup.server.connect({ database: setup.place.database }),
      setup.server.connect(),
    ]);
    await locker.query("BEGIN");
    await locker.query("SELECT id FROM mqtt_msg WHERE topic = 't' FOR UPDATE");
    const saves = saveAll(store, messages.slice(BATCH));
    const session = await blockedSession(administrator, setup);
    setup.proxy.cut();
    // The server does not notice: only the store can have ended it.
    await waitFor(async () => !(await sessions(administrator, setup)).some(({ id }) => Number(id) === session), {
      what: "the end of the session",
      timeout: 3_000,
    });
    await blockedSession(administrator, setup);
    await locker.query("ROLLBACK");
    await saves;
    await assertStored(setup, store, 2 * BATCH);
    await assertToldOnce(store, healths);
  });

  test("a statement that is carried out just when the connection is cut is not repeated", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store } = await startStore(t, setup.place, { timeout: HANGS });
    const messages = sampleMessages("t", 6 * BATCH);
    await saveAll(store, messages.slice(0, BATCH));
    const [locker, administrator] = await Promise.all([
      setup.server.connect({ database: setup.place.database }),
      setup.server.connect(),
    ]);
    for (let end = 2 * BATCH; end <= messages.length; end += BATCH) {
      await locker.query("BEGIN");
      await locker.query("SELECT id FROM mqtt_msg WHERE topic = 't' FOR UPDATE");
      const saves = saveAll(store, messages.slice(end - BATCH, end));
      await blockedSession(administrator, setup);
      setup.proxy.cut();
      await locker.query("ROLLBACK");
      await saves;
    }
    await assertStored(setup, store, messages.length);
  });

  test("a server that hangs carries out later what it was sent before the cut", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store } = await startStore(t, setup.place, { timeout: HANGS });
    const messages = sampleMessages("t", 6 * BATCH);
    await saveAll(store, messages.slice(0, BATCH));
    for (let end = 2 * BATCH; end <= messages.length; end += BATCH) {
      setup.server.pause();
      const before = setup.proxy.requestBytes;
      const saves = saveAll(store, messages.slice(end - BATCH, end));
      await waitFor(() => setup.proxy.requestBytes > before, { what: "a request on its way" });
      setup.proxy.cut();
      setup.server.continue();
      await saves;
    }
    await assertStored(setup, store, messages.length);
  });

  test("the answer is lost, and with it the server, which keeps what it committed", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store, healths } = await startStore(t, setup.place, { timeout: HANGS });
    const messages = sampleMessages("t", 3 * BATCH);
    await saveAll(store, messages.slice(0, BATCH));
    await saveAll(store, messages.slice(BATCH, 2 * BATCH));
    const cut = setup.proxy.cutAfter(0);
    const saves = saveAll(store, messages.slice(2 * BATCH));
    await cut;
    await setup.server.kill();
    await setup.server.restart();
    await saves;
    await assertStored(setup, store, 3 * BATCH);
    await assertToldOnce(store, healths);
  });

  test("ids of rows that began again do not hide what is stored", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store } = await startStore(t, setup.place, { timeout: HANGS });
    const messages = sampleMessages("t", 3 * BATCH);
    await saveAll(store, messages.slice(0, BATCH));
    await saveAll(store, messages.slice(BATCH, 2 * BATCH));
    await setup.with((client) => client.query("TRUNCATE TABLE mqtt_msg"));
    // The ids of their rows are below those of the rows that were saved last.
    const cut = setup.proxy.cutAfter(0);
    await within(Promise.all([saveAll(store, messages.slice(2 * BATCH)), cut]), { what: "the saves" });
    await assertStoredOnce(setup);
    assert.deepEqual(await payloads(store, "t"), numbers(2 * BATCH, 3 * BATCH));
  });

  test("a message that was refused, though it may be stored, can be saved once more", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store, healths } = await startStore(t, setup.place, { timeout: 500 });
    const [first, second, third] = sampleMessages("t", 3);
    assert.ok(first && second && third);
    await store.saveMessage(first);
    setup.server.pause();
    await assert.rejects(store.saveMessage(second));
    setup.server.continue();
    await waitFor(async () => (await store.checkHealth()).status === "ok", { what: "health ok" });
    await store.saveMessage(third);
    await store.saveMessage(second);
    await assertStoredOnce(setup);
    assert.deepEqual((await payloads(store, "t")).sort(), numbers(0, 3));
    await assertToldOnce(store, healths);
  });

  test("a connection of another client with the id of a broken one is not ended", async (t) => {
    const setup = await behindProxy(t, await startPlain(t));
    const { store } = await startStore(t, setup.place, { timeout: HANGS });
    await saveAll(store, sampleMessages("t", BATCH));
    setup.server.pause();
    const before = setup.proxy.requestBytes;
    const saves = saveAll(store, sampleMessages("u", BATCH));
    await waitFor(() => setup.proxy.requestBytes > before, { what: "a request on its way" });
    setup.proxy.silence();
    setup.proxy.cut();
    await setup.server.kill();
    await setup.server.restart();
    // One of these has the id that the store's writer had; the store cannot connect before they are there.
    const others = await Promise.all(
      Array.from({ length: 20 }, () => setup.server.connect(loginOf({ ...setup.place, port: setup.server.port }))),
    );
    setup.proxy.resume();
    await saves;
    assert.equal((await readAll(store, "u")).length, BATCH);
    for (const other of others) assert.equal((await other.query("SELECT 1 AS one"))[0]?.one, 1);
  });
});
