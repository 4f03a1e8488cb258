// What callers see when the database cannot be used, and that all works again when the cause is gone.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/options.ts";
import type { Store } from "../../src/store/store.ts";
import { type Child, runChild, startChild } from "../support/child.ts";
import { LOCK_PATIENCE, lockDatabase } from "../support/sqlite-lock.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { keyOf, payloads, sampleMessage, sampleMessages, saveAll } from "./sample-messages.ts";
import { type StartedStore, startStore } from "./sqlite-stores.ts";

/** More than a busy machine needs for anything here, in ms: only a call that hangs takes longer. */
const HANGS = 10_000;
/** More than it needs for tens of thousands of calls and 64 MiB, in ms. */
const PATIENT = 60_000;

const SAVER = join(import.meta.dirname, "sqlite-saver.ts");
const isSuperuser = process.getuid?.() === 0;
const canGiveUpRights = !isSuperuser || spawnSync("setpriv", ["--version"]).error === undefined;

/** Starts a child that saves a message; as nobody, since the superuser may write everywhere. */
function startSaver(scope: Scope, path: string): Child {
  const asNobody = isSuperuser ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  const [program, ...args] = [...asNobody, process.execPath, SAVER, path];
  return startChild(scope, program as string, args);
}

async function recovered({ store, healths }: StartedStore): Promise<void> {
  await waitFor(() => store.health().status === "ok", { what: "health ok", timeout: HANGS });
  assert.equal(healths.at(-1)?.status, "ok");
}

function refusal(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoreUnavailableError, String(error));
    assert.match(error.message, pattern);
    return true;
  };
}

/** Starts a store, and tells when its thread has been at work for so long: when it waits for a lock, for example. */
async function startWatchedStore(scope: Scope, options: { timeout?: number } = {}) {
  const workers: Worker[] = [];
  const collect = (worker: Worker) => workers.push(worker);
  process.on("worker", collect);
  const started = await startStore(scope, options);
  process.off("worker", collect);
  const work = () => workers[0]?.performance.eventLoopUtilization().active ?? 0;
  const atWorkFor = async (milliseconds: number) => {
    const before = work();
    await waitFor(() => work() - before > milliseconds, { what: "a thread at work" });
  };
  return { ...started, atWorkFor };
}

/** A store with a timeout so short that opening it may take longer, waited for until it is open. */
async function startOpened(scope: Scope, options: Partial<SqliteStoreOptions>) {
  const started = await startStore(scope, options);
  const isOpen = async () => (await started.store.checkHealth()).status === "ok";
  await waitFor(isOpen, { what: "an open store", timeout: HANGS });
  started.healths.length = 0;
  return started;
}

function saves(store: Store, count: number): Promise<PromiseSettledResult<void>[]> {
  return Promise.allSettled(sampleMessages("t", count).map((message) => store.saveMessage(message)));
}

describe("locked", () => {
  test("by another process: calls are refused within the timeout, and work when it is gone", async (t) => {
    const started = await startOpened(t, { timeout: 400 });
    const { store, path, healths } = started;
    const script = `
      const { DatabaseSync } = require("node:sqlite");
      const other = new DatabaseSync(${JSON.stringify(path)}, { timeout: ${LOCK_PATIENCE} });
      other.exec("BEGIN IMMEDIATE");
      console.log("locked");
      setInterval(() => {}, 1000);`;
    const child = startChild(t, process.execPath, ["-e", script]);
    await child.output(/locked/);
    const began = performance.now();
    const outcomes = await saves(store, 600);
    const took = performance.now() - began;
    for (const outcome of outcomes) {
      assert.equal(outcome.status, "rejected");
      refusal(/locked by another process/)(outcome.reason);
    }
    assert.ok(took < HANGS, `${took} ms`);
    assert.equal(store.health().status, "error");
    assert.equal(healths.length, 1, "told once");
    await child.stop("SIGKILL");
    await recovered(started);
    await store.saveMessage(sampleMessage("t", "after"));
    assert.deepEqual(await payloads(store, "t"), ["after"], "what was refused is not stored");
  });

  test("for less than the timeout: nothing is refused", async (t) => {
    const { store, path, healths, atWorkFor } = await startWatchedStore(t, { timeout: HANGS });
    const other = lockDatabase(path);
    const saved = saves(store, 300);
    await atWorkFor(50);
    other.exec("COMMIT");
    other.close();
    assert.deepEqual([...new Set((await saved).map(({ status }) => status))], ["fulfilled"]);
    assert.deepEqual(healths, []);
  });

  test("a call that is younger than the oldest of its batch keeps its own time", async (t) => {
    const { store, path, atWorkFor } = await startWatchedStore(t, { timeout: 2_000 });
    const other = lockDatabase(path);
    const first = store.saveMessage(sampleMessage("t", "old"));
    await atWorkFor(1_000);
    const second = store.saveMessage(sampleMessage("t", "young"));
    await assert.rejects(first, refusal(/locked/));
    other.exec("COMMIT");
    other.close();
    await second;
    assert.deepEqual(await payloads(store, "t"), ["young"]);
  });

  test("when it is opened: start does not reject, and the store opens when it can", async (t) => {
    const path = join(temporaryDirectory(t), "offline.db");
    const other = new DatabaseSync(path);
    other.exec("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (x); BEGIN EXCLUSIVE");
    const started = await startStore(t, { path, timeout: 300 });
    await waitFor(() => started.store.health().status === "error", { what: "health error" });
    await assert.rejects(started.store.saveMessage(sampleMessage("t")), refusal(/locked/));
    other.exec("COMMIT");
    other.close();
    await recovered(started);
    await started.store.saveMessage(sampleMessage("t", "x"));
  });

  test("when it is stopped: the calls that wait are settled, and stop does not hang", async (t) => {
    const { store, path } = await startOpened(t, { timeout: 300 });
    const other = lockDatabase(path);
    t.after(() => other.close());
    const waiting = saves(store, 10);
    const began = performance.now();
    await store.stop();
    assert.ok(performance.now() - began < HANGS);
    assert.deepEqual([...new Set((await waiting).map(({ status }) => status))], ["rejected"]);
  });

  test("does not stop the event loop", async (t) => {
    const { store, path } = await startOpened(t, { timeout: 500 });
    const other = lockDatabase(path);
    t.after(() => other.close());
    let turns = 0;
    const ticks = setInterval(() => turns++, 5);
    const outcome = await store.saveMessage(sampleMessage("t")).catch((error: unknown) => error);
    clearInterval(ticks);
    assert.ok(outcome instanceof StoreUnavailableError);
    assert.ok(turns > 3, `${turns} turns in half a second`);
  });

  test("calls and bytes that wait are bounded", async (t) => {
    const { store, path } = await startStore(t, { timeout: PATIENT });
    const other = lockDatabase(path);
    const megabyte = Buffer.alloc(1024 * 1024);
    const large = await Promise.allSettled([
      // With their topics 64 of them are more than there is room for.
      ...Array.from({ length: 63 }, () => store.saveMessage(sampleMessage("t", megabyte))),
      assert.rejects(store.saveMessage(sampleMessage("t", megabyte)), refusal(/More calls wait/)),
      ...Array.from({ length: 99_937 }, () => store.deleteSubscription("c", "t")),
      assert.rejects(store.deleteSubscription("c", "t"), refusal(/More calls wait/)),
      Promise.resolve().then(() => {
        other.exec("COMMIT");
        other.close();
      }),
    ]);
    const refused = large.filter(({ status }) => status === "rejected");
    // Telling the differences of all of them would take minutes.
    assert.deepEqual(refused.slice(0, 3), []);
  });
});

describe("cannot be written", () => {
  test("a read-only directory is named, and the store opens when it may write", async (t) => {
    if (!canGiveUpRights) return t.skip("setpriv is missing, and the superuser may write everywhere");
    const directory = temporaryDirectory(t);
    chmodSync(directory, 0o755);
    const data = join(directory, "data");
    mkdirSync(data);
    chmodSync(data, 0o555);
    const child = startSaver(t, join(data, "offline.db"));
    await child.output(/refused: .*cannot be opened.*\n/);
    chmodSync(data, 0o777);
    await child.output(/saved/, HANGS);
  });

  test("a file without the right to write", async (t) => {
    if (!canGiveUpRights) return t.skip("setpriv is missing, and the superuser may write everywhere");
    const { store, path } = await startStore(t);
    await store.saveMessage(sampleMessage("t", "x"));
    await store.stop();
    chmodSync(dirname(dirname(path)), 0o755);
    chmodSync(dirname(path), 0o777);
    chmodSync(path, 0o444);
    const child = startSaver(t, path);
    await child.output(/refused: .*cannot be written.*\n/);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) if (existsSync(file)) chmodSync(file, 0o666);
    await child.output(/saved/, HANGS);
  });

  test("a directory that cannot be made", async (t) => {
    const directory = temporaryDirectory(t);
    const file = join(directory, "file");
    writeFileSync(file, "not a directory");
    const started = await startStore(t, { path: join(file, "offline.db") });
    await assert.rejects(started.store.saveMessage(sampleMessage("t")), refusal(/directory/));
    rmSync(file);
    await recovered(started);
    await started.store.saveMessage(sampleMessage("t"));
  });

  test("a directory where the system lets nobody make one", async (t) => {
    const started = await startStore(t, { path: "/proc/nowhere/deep/offline.db" });
    await assert.rejects(started.store.saveMessage(sampleMessage("t")), refusal(/directory \/proc\/nowhere\/deep /));
    await started.store.stop();
  });

  test("a missing directory is made", async (t) => {
    const path = join(temporaryDirectory(t), "a", "b", "offline.db");
    const { store } = await startStore(t, { path });
    await store.saveMessage(sampleMessage("t"));
    assert.ok(existsSync(path));
  });
});

describe("full", () => {
  test("saves are refused, deletions work, and make room again", async (t) => {
    const started = await startStore(t, { maxPageCount: 200, batchSize: 100 });
    const { store, healths } = started;
    const messages = Array.from({ length: 2_000 }, () => sampleMessage("t", "x".repeat(1_000)));
    const outcomes = await Promise.allSettled(messages.map((message) => store.saveMessage(message)));
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.ok(refused.length > 0 && refused.length < messages.length);
    for (const { reason } of refused) refusal(/full.*max_page_count/)(reason);
    assert.equal(store.health().status, "error");
    assert.equal(healths.length, 1, "told once");
    const stored = messages.filter((_, at) => outcomes[at]?.status === "fulfilled");
    assert.equal((await store.totals()).messages, stored.length);

    // A batch with both: the deletion works though the saves beside it do not.
    const more = Promise.allSettled([
      store.saveMessage(sampleMessage("t", "x".repeat(100_000))),
      store.deleteMessages([keyOf(stored[0] as (typeof stored)[0])]),
    ]);
    assert.deepEqual(
      (await more).map(({ status }) => status),
      ["rejected", "fulfilled"],
    );
    await store.deleteMessages(stored.slice(1).map(keyOf));
    await recovered(started);
    await store.saveMessage(sampleMessage("t", "room again"));
    assert.deepEqual(await payloads(store, "t"), ["room again"]);
  });

  test("the next start finds it full and opens it all the same", async (t) => {
    const { store, path } = await startStore(t, { maxPageCount: 100 });
    await saves(store, 10_000);
    const { messages } = await store.totals();
    await store.stop();
    const again = await startStore(t, { path, maxPageCount: 100 });
    assert.equal((await again.store.totals()).messages, messages);
    assert.equal(await again.store.purge("#", 1_000_000), messages);
    await again.store.saveMessage(sampleMessage("t"));
    assert.equal((await again.store.checkHealth()).status, "ok");
  });
});

describe("not our database", () => {
  test("a file that is no database is refused, untouched, until it is moved away", async (t) => {
    const path = join(temporaryDirectory(t), "offline.db");
    writeFileSync(path, "this is a letter, and much longer than the hundred bytes of an SQLite header ".repeat(10));
    const started = await startStore(t, { path });
    await assert.rejects(started.store.saveMessage(sampleMessage("t")), refusal(/not an SQLite database/));
    renameSync(path, `${path}.letter`);
    await recovered(started);
    await started.store.saveMessage(sampleMessage("t"));
  });

  test("a database of a newer release is refused, and works after the older one is put back", async (t) => {
    const { store, path } = await startStore(t);
    await store.saveMessage(sampleMessage("t", "kept"));
    await store.stop();
    copyFileSync(path, `${path}.old`);
    const other = new DatabaseSync(path);
    other.exec("PRAGMA user_version = 99");
    other.close();
    const started = await startStore(t, { path });
    await assert.rejects(payloads(started.store, "t"), refusal(/schema version 99/));
    rmSync(path);
    renameSync(`${path}.old`, path);
    await recovered(started);
    assert.deepEqual(await payloads(started.store, "t"), ["kept"]);
  });

  test("a damaged database says so", async (t) => {
    const { store, path } = await startStore(t);
    await saveAll(
      store,
      Array.from({ length: 500 }, () => sampleMessage("t", "x".repeat(500))),
    );
    await store.stop();
    const damaged = readFileSync(path);
    damaged.fill(0xa5, 4096 * 2, damaged.length - 4096);
    writeFileSync(path, damaged);
    const started = await startStore(t, { path });
    await assert.rejects(payloads(started.store, "t"), refusal(/damaged/));
    assert.equal(started.store.health().status, "error");
  });

  test("a file that is removed while in use is noticed, and a new one is made", async (t) => {
    const started = await startStore(t);
    const { store, path, healths } = started;
    await store.saveMessage(sampleMessage("t", "lost"));
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    await assert.rejects(store.saveMessage(sampleMessage("t")), refusal(/removed or replaced/));
    assert.match(healths[0]?.error?.message ?? "", /removed or replaced/);
    await recovered(started);
    await store.saveMessage(sampleMessage("t", "new"));
    assert.deepEqual(await payloads(store, "t"), ["new"]);
    assert.ok(existsSync(path));
  });
});

describe("the worker thread", () => {
  test("is started again when it dies, and the calls that it had are not lost", async (t) => {
    const workers: Worker[] = [];
    const collect = (worker: Worker) => workers.push(worker);
    process.on("worker", collect);
    t.after(() => process.off("worker", collect));
    const started = await startStore(t);
    const { store } = started;
    for (let round = 0; round < 3; round++) {
      const saved = saves(store, 1_000);
      const dying = workers.at(-1);
      assert.ok(dying);
      const ended = new Promise((resolve) => dying.once("exit", resolve));
      await dying.terminate();
      await ended;
      assert.equal(store.health().status, "error");
      assert.deepEqual([...new Set((await saved).map(({ status }) => status))], ["fulfilled"]);
      await recovered(started);
    }
    assert.equal(workers.length, 4);
    assert.equal((await store.totals()).messages, 3_000);
  });

  test("a call in whose hands it dies twice is refused", async (t) => {
    const started = await startStore(t);
    let deaths = 0;
    const kill = (worker: Worker) => {
      if (++deaths <= 2) worker.once("online", () => void worker.terminate());
    };
    process.on("worker", kill);
    t.after(() => process.off("worker", kill));
    await started.store.stop();
    await started.store.start({});
    // The health check of `start` was in the first worker's hands and in the second's: the third is asked anew.
    assert.equal(deaths, 2);
    assert.match(started.store.health().error?.message ?? "", /thread of the SQLite store died/);
    await waitFor(() => started.store.health().status === "ok", { what: "health ok", timeout: HANGS });
    await started.store.saveMessage(sampleMessage("t"));
    assert.equal(deaths, 3);
  });
});

test("a program hears nothing of experimental features", async (t) => {
  const path = join(temporaryDirectory(t), "offline.db");
  const { stdout, stderr, code } = await runChild(process.execPath, [SAVER, path]);
  assert.deepEqual({ stdout, stderr, code }, { stdout: "saved\n", stderr: "", code: 0 });
});
