// What a save or a deletion has settled survives a kill of the process at any moment.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { startChild } from "../support/child.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { readAll } from "./sample-messages.ts";
import { startStore } from "./sqlite-stores.ts";

const WRITER = join(import.meta.dirname, "sqlite-writer.ts");
const ROUNDS = 3;
const SAVES_PER_ROUND = 2_000;

/** Lines `+id` and `-id` that were written whole: the last one may be cut by the kill. */
function reported(output: string, sign: string): string[] {
  return output
    .slice(0, output.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line.startsWith(sign))
    .map((line) => line.slice(1));
}

test("every settled save is there, and no settled deletion, after kill -9", async (t) => {
  const path = join(temporaryDirectory(t), "offline.db");
  const saved = new Set<string>();
  const deleted = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const child = startChild(t, process.execPath, [WRITER, path]);
    await waitFor(() => reported(child.stdout, "+").length >= SAVES_PER_ROUND || child.over, { what: "saves" });
    assert.equal(child.over, false, child.stderr);
    await child.stop("SIGKILL");
    for (const id of reported(child.stdout, "+")) saved.add(id);
    for (const id of reported(child.stdout, "-")) deleted.add(id);
  }
  assert.ok(saved.size >= ROUNDS * SAVES_PER_ROUND && deleted.size > 0);
  const { store } = await startStore(t, { path });
  const found = new Set((await readAll(store, "#", { maxMessages: 1_000 })).map(({ message }) => message.id));
  // What was asked to be deleted when the kill came may be gone without a report: the writer deletes every third.
  const lost = [...saved].filter((id) => !found.has(id) && !deleted.has(id) && BigInt(`0x${id}`) % 3n !== 0n);
  assert.deepEqual(lost, []);
  assert.deepEqual(
    [...deleted].filter((id) => found.has(id)),
    [],
  );
  assert.equal((await store.totals()).messages, found.size);
});
