// `omp broker` as a process: starting, refusing to start, stopping, and the commands that it prints.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test, { type TestContext } from "node:test";
import { version } from "../../src/mqtt/version.ts";
import { runChild } from "../support/child.ts";
import { findMosquitto } from "../support/mosquitto.ts";
import { type RunningBroker, runOmp, startBroker, storeFile, withoutSuperuser } from "../support/omp.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const mosquitto = await findMosquitto();

test("the commands that it prints store three messages and deliver them once", {
  skip: mosquitto.missing ?? false,
}, async (t) => {
  const broker = await startBroker(t);
  const printed = broker.child.stdout.split("\n").map((line) => line.trim());
  const publish = printed.filter((line) => line.startsWith("mosquitto_pub "));
  const subscribe = printed.filter((line) => line.startsWith("mosquitto_sub "));
  assert.equal(publish.length, 3);
  assert.equal(subscribe.length, 2);
  for (const line of publish) {
    const { code, stderr } = await mosquitto.publish(broker.address, clientArguments(line));
    assert.equal(code, 0, stderr);
  }
  const [first = "", second = ""] = subscribe;
  const one = mosquitto.subscribe(t, broker.address, clientArguments(first));
  await one.received(3);
  await one.stop();
  assert.deepEqual(one.payloads, ["hello-from-offline1", "hello-from-offline2", "hello-from-offline3"]);
  // What is published now comes after anything that would still be stored.
  const two = mosquitto.subscribe(t, broker.address, clientArguments(second));
  await two.subscribed();
  await mosquitto.publish(broker.address, ["-q", "1", "-t", "t/2", "-m", "new"]);
  await two.received(1);
  assert.deepEqual(two.payloads, ["new"]);
});

/** The arguments of a printed command, without where the broker is and without the remark. */
function clientArguments(line: string): string[] {
  return line
    .replace(/ +#.*/, "")
    .replace(/ -p \d+/, "")
    .split(" ")
    .slice(1);
}

test("a port in use is one line and exit code 1", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const port = (server.address() as { port: number }).port;
  const { code, stdout, stderr } = await runOmp([
    "broker",
    "--data-dir",
    temporaryDirectory(t),
    "--port",
    String(port),
  ]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, new RegExp(`^omp: .*127\\.0\\.0\\.1:${port}.*EADDRINUSE.*\\n$`));
});

test("an address that this machine does not have is one line and exit code 1", async (t) => {
  const args = ["--data-dir", temporaryDirectory(t), "--port", "0", "--host", "192.0.2.1", "--allow-anonymous"];
  for (const given of [args, args.filter((arg) => arg !== "--allow-anonymous")]) {
    const { code, stderr } = await runOmp(["broker", ...given]);
    assert.equal(code, 1);
    assert.match(stderr, /^omp: .*192\.0\.2\.1 is no address of this machine.*\n$/);
  }
});

test("a data directory that cannot be made is one line and exit code 1", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "file"), "");
  for (const [dataDirectory, cause] of [
    [join(directory, "file", "data"), "a part of the path is not a directory"],
    [join(directory, "file"), "a file of that name is in the way"],
    ["/proc/nowhere/data", "no such file or directory"],
  ] as const) {
    const { code, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, "--port", "0"]);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `omp: cannot make the data directory ${dataDirectory}: ${cause}: choose another with --data-dir\n`,
    );
  }
});

test("a data directory that cannot be read is one line that names it, and exit code 1", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  chmodSync(dataDirectory, 0o300);
  const args = ["broker", "--data-dir", dataDirectory];
  const { code, stderr } = await runOmp(args, { prefix: withoutSuperuser(), cwd: "/" });
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `omp: cannot read the data directory ${dataDirectory}: permission denied: give this user the right to, or choose another with --data-dir\n`,
  );
});

test("a second broker on a data directory is one line and exit code 1, until the first has gone", async (t) => {
  const first = await startBroker(t);
  const { dataDirectory } = first;
  const { code, stdout, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, "--port", "0"]);
  assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  assert.equal(
    stderr,
    `omp: another omp broker or engine for EMQX uses the data directory ${dataDirectory}: stop that one, or give this one a directory of its own with --data-dir\n`,
  );
  await first.stop("SIGKILL");
  const second = await startBroker(t, { dataDirectory });
  assert.equal((await second.stop()).code, 0);
  assert.equal(statSync(join(dataDirectory, "omp.lock")).mode & 0o777, 0o600);
});

test("it prints where things are on standard output and logs on standard error", async (t) => {
  const broker = await startBroker(t);
  const { stdout } = broker.child;
  assert.ok(stdout.startsWith(`omp ${version()} runs as process ${broker.child.pid};`));
  assert.ok(stdout.includes(`  data    ${broker.dataDirectory}\n`));
  assert.ok(stdout.includes(join(broker.dataDirectory, "plugins/emqx_offline_message_plugin/messages.db (SQLite)")));
  const result = await broker.stop();
  assert.match(result.stderr, /^\S+Z info {2}stopping signal=SIGTERM$/m);
  assert.match(result.stderr, /^\S+Z info {2}stopped$/m);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} stops it with exit code 0`, async (t) => {
    const broker = await startBroker(t);
    const result = await broker.stop(signal);
    assert.deepEqual({ code: result.code, signal: result.signal }, { code: 0, signal: null });
  });
}

/** A broker whose clean stop is held up, because another process has locked the database. */
async function startHeldUpBroker(t: TestContext): Promise<{ broker: RunningBroker; release: () => void }> {
  const broker = await startBroker(t);
  const database = lockDatabase(storeFile(broker.dataDirectory));
  t.after(() => database.close());
  const publisher = connect(broker.address.port, broker.address.host);
  t.after(() => publisher.destroy());
  // CONNECT and, read together with it, a PUBLISH with QoS 1.
  publisher.write(Buffer.from("100d00044d5154540402003c000161" + "3206000174000178", "hex"));
  await once(publisher, "data");
  return { broker, release: () => database.exec("COMMIT") };
}

test("the same signal twice in a second, as make passes it on, is one request to stop", async (t) => {
  const { broker, release } = await startHeldUpBroker(t);
  broker.child.process.kill("SIGTERM");
  await broker.child.output(/stopping signal=SIGTERM/);
  broker.child.process.kill("SIGTERM");
  broker.child.process.kill("SIGINT");
  release();
  const { code, stderr } = await broker.child.ended;
  assert.equal(code, 0);
  assert.match(stderr, /stopped$/m);
});

test("a signal later than that ends it at once", async (t) => {
  const { broker } = await startHeldUpBroker(t);
  broker.child.process.kill("SIGTERM");
  await broker.child.output(/stopping signal=SIGTERM/);
  await waitFor(
    () => {
      broker.child.process.kill("SIGINT");
      return broker.child.over;
    },
    { what: "the end", interval: 50 },
  );
  const { signal, stderr } = await broker.child.ended;
  assert.equal(signal, "SIGINT");
  assert.doesNotMatch(stderr, /stopped$/m);
});

test("--without-plugins stores nothing", async (t) => {
  const broker = await startBroker(t, { args: ["--without-plugins"] });
  assert.match(broker.child.stdout, /stores {2}nothing: started without plugins/);
  assert.equal(existsSync(join(broker.dataDirectory, "plugins")), false);
  assert.equal((await broker.stop()).code, 0);
});

test("it listens on a wider address once that is allowed", async (t) => {
  const byOption = await startBroker(t, { args: ["--host", "0.0.0.0", "--allow-anonymous"] });
  assert.equal(byOption.address.host, "0.0.0.0");
  await byOption.stop();
  const dataDirectory = temporaryDirectory(t);
  writeFileSync(join(dataDirectory, "omp.hocon"), 'allow_anonymous = true\nlisteners.tcp.default.bind = "0.0.0.0:0"\n');
  const byFile = await startBroker(t, { dataDirectory });
  assert.equal(byFile.address.host, "0.0.0.0");
  await byFile.stop();
});

test("it goes on when nobody reads what it prints", async (t) => {
  const broker = await startBroker(t);
  broker.child.process.stdout?.destroy();
  broker.child.process.stderr?.destroy();
  const { code } = await broker.stop();
  assert.equal(code, 0);
});

test("the database is one that sqlite3 opens", async (t) => {
  const broker = await startBroker(t);
  await broker.stop();
  const file = storeFile(broker.dataDirectory);
  const database = new DatabaseSync(file, { readOnly: true });
  assert.deepEqual({ ...database.prepare("select count(*) as messages from mqtt_msg").get() }, { messages: 0 });
  database.close();
  assert.equal((await runChild("head", ["-c", "15", file])).stdout, "SQLite format 3");
});
