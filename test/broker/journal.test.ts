// What waits for broker.db while that cannot be written.

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { DatabaseLink } from "../../src/broker/persistence/database-link.ts";
import { Persistence } from "../../src/broker/persistence/persistence.ts";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { loggerInto } from "./broker-fixture.ts";

test("what comes and goes while the file is locked is not kept, and what is held for it is let go", async (t) => {
  const path = join(temporaryDirectory(t), "broker.db");
  const link = new DatabaseLink(path, loggerInto([]));
  const ids = new MessageIdGenerator();
  const persistence = new Persistence(link, ids);
  const journal = persistence.journal;
  assert.ok(journal !== undefined);
  link.start();
  t.after(() => link.stop(1000));
  await link.read({ kind: "read", table: "session", after: 0 });
  const file = new DatabaseSync(path);
  t.after(() => file.close());
  const retain = (payload: string) => {
    const message = { id: ids.next(), from: "c", topic: "t", qos: 0, retain: true, timestamp: 0 } as const;
    return persistence.keepRetained({ ...message, payload: Buffer.from(payload) }, false);
  };
  file.exec("BEGIN IMMEDIATE");
  let last = retain("first");
  // The first is in the hands of the worker.
  await waitFor(() => journal.waiting === 0, { what: "a batch to begin", interval: 1 });
  for (let number = 0; number < 1000; number++) {
    const next = retain(String(number));
    if (last !== undefined) persistence.endRetained(last);
    last = next;
  }
  assert.equal(journal.waiting, 4, "two rows that go, and two that come");
  if (last !== undefined) persistence.endRetained(last);
  assert.equal(journal.waiting, 2);
  const { barrier } = journal;
  file.exec("ROLLBACK");
  await waitFor(() => journal.isDurable(barrier), { what: "the batch", interval: 1 });
  for (const table of ["retained", "message"]) {
    assert.equal(file.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.rows, 0);
  }
  // Nothing is left of a change, but who waits for it is told.
  const gone = retain("gone");
  assert.ok(gone !== undefined);
  persistence.endRetained(gone);
  await persistence.saved(5000);
  assert.ok(journal.isDurable(barrier + 1));
});
