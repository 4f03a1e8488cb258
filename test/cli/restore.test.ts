// `omp restore` and `omp backup` with what cannot be done: one line, the right exit code, and nothing is changed or left behind.

import assert from "node:assert/strict";
import { cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { Header } from "tar";
import { MIGRATIONS } from "../../src/broker/persistence/schema.ts";
import { CliError } from "../../src/cli/cli-error.ts";
import { restoreCommand } from "../../src/cli/restore-command.ts";
import { openDatabase } from "../../src/sqlite/open-database.ts";
import { startChild } from "../support/child.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { PLUGIN_CONFIG_FILE, runOmp, STORE_FILE, startBroker } from "../support/omp.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";

const BLOCK = 512;

interface Entry {
  readonly path: string;
  readonly content?: string | Uint8Array;
  readonly type?: "File" | "SymbolicLink" | "Directory";
  readonly linkpath?: string;
}

/** A tar file, packed. */
function archive(...entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ path, content = "", type = "File", linkpath }) => {
    const data = Buffer.from(content as Uint8Array);
    const header = new Header({ path, size: data.length, mode: 0o600, type, linkpath, mtime: new Date(0) });
    header.encode();
    return [header.block ?? Buffer.alloc(0), data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

interface NamedFile {
  readonly path: string;
  readonly size: number;
  readonly database?: string;
}

function manifest(files: readonly NamedFile[], more: Record<string, unknown> = {}): Entry {
  const content = { format: 1, version: "0.1.0", created: "2026-01-31T12:00:00.000Z", files, ...more };
  return { path: "manifest.json", content: JSON.stringify(content) };
}

/** A backup of one file. */
function backupOf(path: string, content: string | Uint8Array, database?: string): Buffer {
  return archive(manifest([{ path, size: content.length, database }]), { path: `data/${path}`, content });
}

/** All files below a directory with what is in them; the lock and its journal have nothing in them that counts. */
function snapshot(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    files
      .filter((entry) => !entry.name.startsWith("omp.lock"))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path, statSync(path).isFile() ? readFileSync(path, "base64") : "directory"]),
  );
}

describe("omp restore", () => {
  const scope = inReverse({ after });
  const directory = temporaryDirectory(scope);
  const good = join(directory, "good.tar.gz");
  const used = join(directory, "used");

  before(async () => {
    const broker = await startBroker(scope, { dataDirectory: used });
    const publisher = await connectClient(scope, broker.address);
    const payload = Buffer.alloc(100_000, "x");
    for (let number = 0; number < 5; number++) await publisher.client.publishAsync("t", payload, { qos: 1 });
    await broker.stop();
    const { code, stderr } = await runOmp(["backup", good, "--data-dir", used]);
    assert.equal(code, 0, stderr);
  });

  function databaseWith(version: number): Buffer {
    const path = join(temporaryDirectory(scope), "x.db");
    const database = openDatabase({ path, busyTimeout: 0, maxPageCount: 0, migrations: MIGRATIONS });
    database.exec(`PRAGMA user_version = ${version}`);
    database.close();
    return readFileSync(path);
  }

  function damagedDatabase(): Buffer {
    const path = join(temporaryDirectory(scope), "x.db");
    const database = new DatabaseSync(path);
    database.exec(`CREATE TABLE t (x); CREATE INDEX i ON t (x); PRAGMA user_version = 1`);
    database.exec(
      "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 5000) INSERT INTO t SELECT x FROM n",
    );
    database.close();
    const bytes = readFileSync(path);
    bytes.fill(0xff, bytes.length - 3000);
    return bytes;
  }

  const link: Entry = { path: "data/omp.hocon", type: "SymbolicLink", linkpath: "/etc/passwd" };
  const named = (path: string, size = 1) => manifest([{ path, size }]);
  const bad: readonly [name: string, bytes: () => Uint8Array, line: RegExp][] = [
    [
      "a file that is no gzip file",
      () => Buffer.from("hello, this is no backup"),
      /is no whole backup \(incorrect header/,
    ],
    ["an empty file", () => Buffer.alloc(0), /is (?:empty|no whole backup)/],
    ["one that is cut off", () => readFileSync(good).subarray(0, 3000), /is no whole backup \(unexpected end/],
    [
      "one that is cut off and packed again",
      () => gzipSync(gunzipSync(readFileSync(good)).subarray(0, 30_000)),
      /has no whole tar file|lacks/,
    ],
    ["a text, packed", () => gzipSync("hello, this is no tar file ".repeat(100)), /has no whole tar file in it/],
    ["a backup that is packed twice", () => gzipSync(readFileSync(good)), /has no tar file in it/],
    ["another tar file", () => archive({ path: "README.md", content: "x" }), /does not begin with manifest\.json/],
    ["a tar file without files", () => archive(), /has no whole tar file in it/],
    [
      "a manifest that is no JSON",
      () => archive({ path: "manifest.json", content: "{" }),
      /a manifest that is no JSON/,
    ],
    [
      "a backup of a release to come",
      () => archive(manifest([], { format: 2, version: "9.0.0" })),
      /was written by a newer release, omp 9\.0\.0 \(format 2,/,
    ],
    [
      "a path that leads out",
      () => archive(named("../evil"), { path: "data/../evil", content: "x" }),
      /path that is not allowed: "\.\.\/evil"/,
    ],
    ["an absolute path", () => archive(named("/tmp/evil")), /path that is not allowed: "\/tmp\/evil"/],
    ["the name of the lock", () => archive(named("omp.lock")), /path that is not allowed: "omp\.lock"/],
    [
      "a path that the manifest hides",
      () => archive(named("omp.hocon"), { path: "data/../evil", content: "x" }),
      /"data\/\.\.\/evil" in it, which/,
    ],
    [
      "a file besides",
      () => archive(manifest([]), { path: "data/evil", content: "x" }),
      /"data\/evil" in it, which its manifest does not name/,
    ],
    [
      "a symbolic link",
      () => archive(named("omp.hocon", 0), link),
      /has omp\.hocon as something else than a file \(SymbolicLink\)/,
    ],
    [
      "a link in the place of a directory",
      () =>
        archive(
          named("plugins/x"),
          { ...link, path: "data/plugins", linkpath: "/tmp" },
          { path: "data/plugins/x", content: "x" },
        ),
      /"data\/plugins" in it, which its manifest does not name/,
    ],
    [
      "a file of another size",
      () => archive(named("omp.hocon", 5), { path: "data/omp.hocon", content: "x" }),
      /has 1 bytes in omp\.hocon, and/,
    ],
    ["a file that is missing", () => archive(named("omp.hocon")), /lacks omp\.hocon/],
    [
      "a file in the place of a directory",
      () =>
        archive(
          manifest([
            { path: "a", size: 0 },
            { path: "a/b", size: 0 },
          ]),
          { path: "data/a" },
          { path: "data/a/b" },
        ),
      /cannot be unpacked/,
    ],
    [
      "more than the manifest says",
      () =>
        archive(manifest([]), ...Array.from({ length: 3000 }, () => ({ path: "data/", type: "Directory" as const }))),
      /has more in it than its manifest says/,
    ],
    [
      "more than the disk has room for",
      () => archive(manifest([{ path: "broker.db", size: 2 ** 52, database: "broker" }])),
      /has room for \d+ bytes, and the backup needs/,
    ],
    [
      "a database that is none",
      () => backupOf("broker.db", "x".repeat(5000), "broker"),
      /broker\.db is damaged \(file is not a database/,
    ],
    ["a database that is damaged", () => backupOf("broker.db", damagedDatabase(), "broker"), /broker\.db is damaged/],
    [
      "a database of a release to come",
      () => backupOf("broker.db", databaseWith(99), "broker"),
      /broker\.db is of a newer release \(schema 99,/,
    ],
    [
      "a database of something else",
      () => backupOf("broker.db", databaseWith(0), "broker"),
      /broker\.db is no database of omp/,
    ],
  ];

  for (const [name, bytes, line] of bad) {
    test(`refuses ${name}`, async (t) => {
      const own = temporaryDirectory(t);
      const file = join(own, "bad.tar.gz");
      writeFileSync(file, bytes());
      const full = join(own, "full");
      mkdirSync(full);
      writeFileSync(join(full, "omp.hocon"), "# mine\n");
      for (const args of [
        ["--data-dir", join(own, "new", "data")],
        ["--data-dir", full, "--force"],
      ]) {
        const earlier = snapshot(own);
        // In this process, since fifty others would take minutes where the machine is busy.
        await assert.rejects(restoreCommand([file, ...args]), (error) => {
          assert.ok(error instanceof CliError, String(error));
          assert.deepEqual([error.exitCode, error.lines.length], [1, 1], error.message);
          assert.match(error.lines[0] ?? "", line);
          return true;
        });
        assert.deepEqual(snapshot(own), earlier);
      }
    });
  }

  test("a disk that is full leaves everything as it was", async (t) => {
    const own = temporaryDirectory(t);
    const full = join(own, "full");
    cpSync(used, full, { recursive: true });
    const earlier = snapshot(own);
    const prefix = ["prlimit", "--fsize=200000:200000"];
    const restored = await runOmp(["restore", good, "--data-dir", full, "--force"], { prefix });
    assert.equal(restored.code, 1);
    assert.match(restored.stderr, /^omp: .*good\.tar\.gz cannot be unpacked \(EFBIG/);
    const backedUp = await runOmp(["backup", join(own, "b.tar.gz"), "--data-dir", full], { prefix });
    assert.equal(backedUp.code, 1);
    assert.match(backedUp.stderr, /^omp: .*messages\.db cannot be copied\. .*full/);
    assert.deepEqual(snapshot(own), earlier);
  });

  test("a directory where none can be made", async (t) => {
    const own = temporaryDirectory(t);
    const { code, stderr } = await runOmp(["restore", good, "--data-dir", join("/proc", "data")], { cwd: own });
    assert.equal(code, 1);
    assert.match(stderr, /^omp: cannot make the data directory \/proc\/data: /);
  });

  test("refuses a directory that a broker uses, and does not touch it", async (t) => {
    const broker = await startBroker(t);
    const earlier = readdirSync(broker.dataDirectory);
    const { code, stderr } = await runOmp(["restore", good, "--data-dir", broker.dataDirectory, "--force"]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^omp: another omp broker or engine for EMQX uses the data directory .*: stop it, and restore then\n$/,
    );
    assert.deepEqual(readdirSync(broker.dataDirectory), earlier);
  });

  test("refuses a directory with data; --force puts that aside", async (t) => {
    const own = temporaryDirectory(t);
    const full = join(own, "full");
    mkdirSync(full);
    writeFileSync(join(full, "omp.hocon"), "# mine\n");
    writeFileSync(join(full, "broker.db-wal"), "of another database");
    const refused = await runOmp(["restore", good, "--data-dir", full]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^omp: .*full has data already \(omp\.hocon\): name another directory .* --force\n$/);
    const { code, stdout, stderr } = await runOmp(["restore", good, "--data-dir", full, "--force"]);
    assert.equal(code, 0, stderr);
    const [, aside = ""] = /^What it had before is in (.*)\.$/m.exec(stdout) ?? [];
    assert.equal(readFileSync(join(aside, "omp.hocon"), "utf8"), "# mine\n");
    assert.deepEqual(readdirSync(aside).sort(), ["broker.db-wal", "omp.hocon"]);
    assert.equal(existsSync(join(full, "omp.hocon")), false, "the backup has none");
    assert.ok(existsSync(join(full, STORE_FILE)));
    assert.equal(existsSync(join(full, ".restore")), false);
    for (const file of [STORE_FILE, "broker.db", PLUGIN_CONFIG_FILE])
      assert.equal(statSync(join(full, file)).mode & 0o777, 0o600);
  });

  test("a broker does not start where a restore was killed while it put files in place", async (t) => {
    const own = temporaryDirectory(t);
    mkdirSync(join(own, ".restore"));
    writeFileSync(join(own, ".restore", "begun"), "");
    const args = ["--port", "0", "--ws-port", "0", "--dashboard-port", "0"];
    const refused = await runOmp(["broker", "--data-dir", own, ...args]);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /^omp: omp restore was interrupted while it put files into .*: run it again with --force/,
    );
    assert.equal((await runOmp(["restore", good, "--data-dir", own, "--force"])).code, 0);
    await (await startBroker(t, { dataDirectory: own })).stop();
  });
});

describe("omp backup", () => {
  test("names what is not there, and leaves nothing", async (t) => {
    const own = temporaryDirectory(t);
    const { code, stderr } = await runOmp(["backup", join(own, "b.tar.gz"), "--data-dir", join(own, "none")]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^omp: there is nothing to back up in .*none: name the broker's data directory with --data-dir\n$/,
    );
    assert.deepEqual(readdirSync(own), []);
  });

  test("does not replace a file, unless --force is given", async (t) => {
    const own = temporaryDirectory(t);
    const data = join(own, "data");
    mkdirSync(join(data, "plugins", "other-1.0"), { recursive: true });
    writeFileSync(join(data, "omp.hocon"), "# mine\n");
    writeFileSync(join(data, "plugins", "other-1.0", "release.json"), "{}");
    writeFileSync(join(data, "plugins", "other-1.0", ".md5sum"), "x");
    const file = join(own, "b.tar.gz");
    writeFileSync(file, "another's");
    const refused = await runOmp(["backup", file, "--data-dir", data]);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /^omp: .*b\.tar\.gz is there already: name another file, or replace it with --force\n$/,
    );
    assert.equal(readFileSync(file, "utf8"), "another's");
    const { code, stdout, stderr } = await runOmp(["backup", "--data-dir", data, file, "--force"]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      [...stdout.matchAll(/^ {2}(\S+) /gm)].map(([, path]) => path),
      ["omp.hocon", "plugins/other-1.0/"],
    );
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(own).sort(), ["b.tar.gz", "data"]);
    const restored = join(own, "restored");
    assert.equal((await runOmp(["restore", file, "--data-dir", restored])).code, 0);
    assert.equal(readFileSync(join(restored, "omp.hocon"), "utf8"), "# mine\n");
    assert.equal(readFileSync(join(restored, "plugins", "other-1.0", ".md5sum"), "utf8"), "x");
  });

  test("a configuration that does not tell where the messages are is named with its line", async (t) => {
    const own = temporaryDirectory(t);
    const config = join(own, PLUGIN_CONFIG_FILE);
    mkdirSync(dirname(config), { recursive: true });
    writeFileSync(config, "\nsqlite { enable = 5 }\n");
    const { code, stderr } = await runOmp(["backup", join(own, "b.tar.gz"), "--data-dir", own]);
    assert.equal(code, 2);
    assert.match(stderr, /config\.hocon:2: sqlite\.enable/);
    assert.deepEqual(globSync(join(own, "b.tar.gz*")), []);
  });

  const wrong: readonly [args: readonly string[], line: RegExp][] = [
    [["backup"], /^omp: omp backup needs FILE/],
    [["backup", "a", "b"], /^omp: unexpected argument b/],
    [["backup", "a", "--froce"], /^omp: unknown option --froce: did you mean --force\?/],
    [["restore"], /^omp: omp restore needs FILE/],
    [["restore", "a", "b"], /^omp: unexpected argument b/],
  ];
  for (const [args, line] of wrong) {
    test(`refuses omp ${args.join(" ")}`, async (t) => {
      const { code, stderr } = await runOmp(args, { cwd: temporaryDirectory(t) });
      assert.equal(code, 2);
      assert.match(stderr, line);
    });
  }

  test("both have a help", async () => {
    for (const command of ["backup", "restore"]) {
      const { code, stdout } = await runOmp([command, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^Usage: omp ${command} FILE`, "m"));
    }
  });
});

test("a signal ends a command once it has undone what it had begun", async (t) => {
  const module = JSON.stringify(new URL("../../src/cli/signals.ts", import.meta.url).href);
  const script = `
    import { undoneBySignals } from ${module};
    await undoneBySignals(
      () => new Promise(() => { setInterval(() => {}, 60_000); console.log("works"); }),
      () => console.log("undone"),
    );`;
  const child = startChild(t, process.execPath, ["--input-type=module-typescript", "-e", script]);
  await child.output(/works/);
  const { signal, stdout } = await child.stop("SIGTERM");
  assert.deepEqual({ signal, stdout }, { signal: "SIGTERM", stdout: "works\nundone\n" });
});
