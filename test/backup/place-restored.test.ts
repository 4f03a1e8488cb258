// Restored files take their places all together, or none of them.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { newManifest } from "../../src/backup/manifest.ts";
import { isHalfRestored, placeRestored, STAGING } from "../../src/backup/place-restored.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";

const FILES = ["omp.hocon", "plugins/p/config.hocon", "x.db"];
const MANIFEST = newManifest("0.1.0", new Date(), [
  ...FILES.slice(0, 2).map((path) => ({ path, size: 3 })),
  { path: "x.db", size: 3, database: "messages" },
]);

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A directory with old data, and new data that lies ready, but for the file `without`. */
function prepared(scope: Scope, without?: string): string {
  const directory = temporaryDirectory(scope);
  for (const name of ["omp.hocon", "plugins/old", "x.db-wal", "broker.db-shm", "mine"])
    write(join(directory, name), "old");
  for (const name of FILES) if (name !== without) write(join(directory, STAGING, "data", name), "new");
  return directory;
}

test("what was there is moved aside, with what belongs to a database; what is not ours stays", (t) => {
  const directory = prepared(t);
  const aside = join(directory, "aside");
  placeRestored(directory, MANIFEST, aside);
  assert.deepEqual(readdirSync(directory).sort(), [STAGING, "aside", "mine", "omp.hocon", "plugins", "x.db"]);
  assert.deepEqual(readdirSync(aside).sort(), ["broker.db-shm", "omp.hocon", "plugins", "x.db-wal"]);
  for (const name of FILES) assert.equal(readFileSync(join(directory, name), "utf8"), "new");
  assert.equal(isHalfRestored(directory), false);
});

test("when a file cannot be moved, all others go back", (t) => {
  for (const without of ["x.db", "omp.hocon"]) {
    const directory = prepared(t, without);
    assert.throws(() => placeRestored(directory, MANIFEST, join(directory, "aside")), { code: "BACKUP_FAILED" });
    assert.deepEqual(readdirSync(directory).sort(), [
      STAGING,
      "broker.db-shm",
      "mine",
      "omp.hocon",
      "plugins",
      "x.db-wal",
    ]);
    assert.equal(readFileSync(join(directory, "omp.hocon"), "utf8"), "old");
    assert.equal(readFileSync(join(directory, "plugins", "old"), "utf8"), "old");
    assert.equal(isHalfRestored(directory), false);
  }
});
