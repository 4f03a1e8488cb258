// Copies of databases that are written to meanwhile: all as they were at one moment.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test from "node:test";
import { copyDatabases } from "../../src/backup/copy-databases.ts";
import { openDatabase } from "../../src/sqlite/open-database.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";

const MIGRATIONS = ["CREATE TABLE t (x INTEGER PRIMARY KEY, filling BLOB NOT NULL)"];
/** More than is copied in one go: 24 MiB. */
const ROWS = 24;

function database(scope: Scope, path: string): DatabaseSync {
  const connection = openDatabase({ path, busyTimeout: 1_000, maxPageCount: 0, migrations: MIGRATIONS });
  scope.after(() => connection.close());
  return connection;
}

function insert(connection: DatabaseSync, rows: number): void {
  for (let row = 0; row < rows; row++) connection.exec("INSERT INTO t (filling) VALUES (randomblob(1048576))");
}

function rowsOf(path: string): number {
  const copy = new DatabaseSync(path, { readOnly: true });
  try {
    assert.deepEqual({ ...copy.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
    return Number(copy.prepare("SELECT count(*) AS rows FROM t").get()?.rows);
  } finally {
    copy.close();
  }
}

test("what is committed after the call is in none of the copies, however long they take", async (t) => {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const first = database(scope, join(directory, "first.db"));
  const second = database(scope, join(directory, "second.db"));
  insert(first, ROWS);
  insert(second, 1);
  const copies = ["first", "second"].map((name) => ({
    source: join(directory, `${name}.db`),
    target: join(directory, `${name}-copy.db`),
  }));
  let isOver = false;
  const copied = copyDatabases(copies).finally(() => {
    isOver = true;
  });
  let commits = 0;
  // As long as it goes on, so that a copy which began anew at each commit would have no end.
  for (; !isOver; commits++) {
    first.exec("INSERT INTO t (filling) VALUES (x'00')");
    second.exec("INSERT INTO t (filling) VALUES (x'00')");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await copied;
  assert.ok(commits > 2, `${commits} commits meanwhile`);
  assert.deepEqual(
    copies.map(({ target }) => rowsOf(target)),
    [ROWS, 1],
  );
  assert.equal(statSync(copies[0]?.target ?? "").mode & 0o777, 0o600);
});

test("one that cannot be read is named", async (t) => {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const source = join(directory, "missing.db");
  await assert.rejects(copyDatabases([{ source, target: join(directory, "copy.db") }]), {
    code: "BACKUP_FAILED",
    message: /missing\.db cannot be copied\. .*cannot be opened/,
  });
});

test("a writer that does not let go holds up nothing", async (t) => {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const source = join(directory, "x.db");
  insert(database(scope, source), 1);
  const locker = lockDatabase(source);
  scope.after(() => locker.close());
  await copyDatabases([{ source, target: join(directory, "copy.db") }]);
  assert.equal(rowsOf(join(directory, "copy.db")), 1);
});
