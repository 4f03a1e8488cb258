// The file: what the sqlite3 shell shows, how writes share transactions, and that it shrinks.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { keyOf, sampleMessage, sampleMessages, saveAll } from "./sample-messages.ts";
import { startStore } from "./sqlite-stores.ts";

const WAL_HEADER = 32;
const FRAME_HEADER = 24;
const PAGE = 4_096;

/** Counts the commits in the write-ahead log: frames that tell the size of the database after a commit. */
function commits(path: string): number {
  const log = readFileSync(`${path}-wal`);
  const salt = log.subarray(16, 24);
  let found = 0;
  for (let at = WAL_HEADER; at + FRAME_HEADER + PAGE <= log.length; at += FRAME_HEADER + PAGE) {
    if (log.subarray(at + 8, at + 16).equals(salt) && log.readUInt32BE(at + 4) !== 0) found++;
  }
  return found;
}

test("what is called while a transaction is under way shares the next one", async (t) => {
  const { store, path } = await startStore(t, { batchSize: 100 });
  const before = commits(path);
  await saveAll(store, sampleMessages("t", 1_000));
  const grouped = commits(path) - before;
  assert.equal(grouped, 10, "one transaction for each 100");
  for (const message of sampleMessages("t", 5)) await store.saveMessage(message);
  assert.equal(commits(path) - before, 15, "one after the other: each its own");
});

test("large payloads are spread over several transactions", async (t) => {
  const { store, path } = await startStore(t);
  const before = commits(path);
  await saveAll(
    store,
    Array.from({ length: 12 }, () => sampleMessage("t", Buffer.alloc(1024 * 1024))),
  );
  assert.equal(commits(path) - before, 2, "at most 8 MiB each");
});

test("the tables show what is stored", async (t) => {
  const { store, path } = await startStore(t);
  const message = sampleMessage("t/2", "hello", {
    from: "c1",
    qos: 2,
    retain: true,
    timestamp: Date.UTC(2026, 1, 3, 4, 5, 6, 78),
    expiresAt: 4_000_000_000_000,
    properties: { contentType: "text/plain", correlationData: Buffer.from("id"), userProperties: [["a", "b"]] },
  });
  await store.saveMessage(message);
  await store.saveSubscription({
    clientId: "c1",
    topicFilter: "t/#",
    qos: 1,
    noLocal: false,
    retainAsPublished: true,
    retainHandling: 2,
  });
  const shell = new DatabaseSync(path, { readOnly: true });
  t.after(() => shell.close());
  assert.deepEqual(
    { ...shell.prepare("SELECT *, CAST(payload AS TEXT) AS payload FROM mqtt_msg").get() },
    {
      id: 1,
      msgid: message.id,
      topic: "t/2",
      sender: "c1",
      qos: 2,
      retain: 1,
      payload: "hello",
      arrived: "2026-02-03 04:05:06.078",
      properties: '{"content_type":"text/plain","correlation_data":"aWQ=","user_properties":[["a","b"]]}',
      expires_at: 4_000_000_000_000,
      packet_id: null,
    },
  );
  const subscription = shell.prepare("SELECT clientid, topic, qos, no_local, retain_handling FROM mqtt_sub").get();
  assert.deepEqual({ ...subscription }, { clientid: "c1", topic: "t/#", qos: 1, no_local: 0, retain_handling: 2 });
  assert.equal(shell.prepare("PRAGMA journal_mode").get()?.journal_mode, "wal");
});

test("only its owner can read the database, and the directories that are made for it", async (t) => {
  const root = temporaryDirectory(t);
  mkdirSync(join(root, "there"), { mode: 0o755 });
  const umask = process.umask(0o022);
  t.after(() => process.umask(umask));
  const { store, path } = await startStore(t, { path: join(root, "there", "a", "b", "own.db") });
  await store.saveMessage(sampleMessage("t"));
  const mode = (file: string) => (statSync(file).mode & 0o777).toString(8);
  assert.deepEqual([path, `${path}-wal`, `${path}-shm`].map(mode), ["600", "600", "600"]);
  assert.deepEqual([dirname(path), dirname(dirname(path)), join(root, "there")].map(mode), ["700", "700", "755"]);
});

test("an emptied store gives its space back, and what it keeps is used again", async (t) => {
  const { store, path } = await startStore(t);
  const fill = async () => {
    const messages = Array.from({ length: 4_000 }, () => sampleMessage("t", "x".repeat(4_000)));
    await saveAll(store, messages);
    return messages;
  };
  await store.deleteMessages((await fill()).map(keyOf));
  await fill();
  await store.purge("#", 1_000_000);
  await waitFor(() => statSync(path).size < 2 * 1024 * 1024 && statSync(`${path}-wal`).size === 0, {
    what: "a small file",
  });
});

test("the sweep passes over messages from a time when the clock was ahead", async (t) => {
  const { store } = await startStore(t, { messageTtl: 60 });
  const now = Date.now();
  const at = (timestamp: number) => sampleMessage("t", "x", { timestamp });
  await saveAll(store, [
    ...Array.from({ length: 700 }, () => at(now + 3_600_000)),
    ...Array.from({ length: 700 }, () => at(now - 61_000)),
    at(now),
  ]);
  assert.equal(await store.expire(now, 10_000), 700);
  assert.equal(await store.expire(now, 10_000), 0);
  assert.equal((await store.totals()).messages, 701);
});
