// `omp emqx-plugin`: its options, its start, its end.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { readSecret } from "../../src/cli/secret-file.ts";
import { openSocket } from "../emqx/link-peer.ts";
import { ScriptedNode } from "../emqx/scripted-node.ts";
import { certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { type Child, startChild } from "../support/child.ts";
import { runOmp } from "../support/omp.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const OMP = resolve(fileURLToPath(import.meta.url), "../../../src/cli/omp.ts");
const START_TIMEOUT = 60_000;
const CONFIG = { mysql: { enable: false }, redis: { enable: false }, sqlite: { enable: true, topics: ["#"] } };

function secretFile(directory: string, text = "a secret of sixteen or more\n"): string {
  const file = join(directory, "secret");
  writeFileSync(file, text);
  return file;
}

async function start(scope: Scope, ...args: readonly string[]): Promise<{ child: Child; port: number }> {
  const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  const child = startChild(scope, process.execPath, [OMP, "emqx-plugin", ...listen, ...args], { env: process.env });
  const [, port] = await child.output(/^ {2}listens {2}\S+:(\d+)/m, START_TIMEOUT);
  return { child, port: Number(port) };
}

/** A directory with a secret and the engine's certificate, and the options that name them. */
async function withCertificate(scope: Scope) {
  const directory = temporaryDirectory(scope);
  const authority = await makeAuthority(directory, "authority");
  const { certfile, keyfile } = await makeCertificate(directory, "engine", authority);
  const args = ["--secret-file", secretFile(directory), "--data-dir", directory];
  return { directory, authority, certfile, args, tls: ["--tls-cert", certfile, "--tls-key", keyfile] };
}

test("the help names every option", async () => {
  const { code, stdout } = await runOmp(["emqx-plugin", "--help"]);
  assert.equal(code, 0);
  for (const option of ["listen", "secret-file", "data-dir", "tls-cert", "tls-key", "tls-ca", "log-level"]) {
    assert.match(stdout, new RegExp(`^  --${option} `, "m"));
  }
});

test("what is missing or wrong is one line", async (t) => {
  const directory = temporaryDirectory(t);
  const secret = secretFile(directory);
  const data = ["--data-dir", join(directory, "data")];
  const cases: readonly [args: readonly string[], code: number, message: RegExp][] = [
    [[], 2, /--secret-file is missing/],
    [["--secret-file", join(directory, "none")], 1, /cannot read the secret .*no such file/i],
    [["--secret-file", secret, "--listen", "a:b:c"], 2, /--listen must be an address and a port/],
    [["--secret-file", secret, "--listen", "9100"], 2, /--listen must be an address and a port .*, not 9100/],
    [
      ["--secret-file", secret, "--log-level", "loud"],
      2,
      /--log-level must be debug or info or warn or error, not "loud"$/m,
    ],
    [["--secret-file", secret, "--tls-key", secret], 2, /--tls-cert is missing/],
    [["--secret-file", secret, "--tls-cert", secret], 2, /--tls-key is missing: name the key of \/.*secret\n$/],
    [["--secret-file", "/dev/zero"], 1, /\/dev\/zero is no regular file: name a file with the secret/],
    [["--secret-file", directory], 1, /is no regular file: name a file with the secret/],
    [["--secret-file", secretFile(temporaryDirectory(t), "x".repeat(1027))], 1, /too long .* has 16 to 1024 bytes/],
    [
      ["--secret-file", secret, "--tls-cert", secret, "--tls-key", secret, ...data],
      1,
      /--tls-cert: .*has no certificate/,
    ],
    [
      ["--secret-file", secretFile(temporaryDirectory(t), "short"), ...data],
      1,
      /the secret in \S+ has 5 bytes, and needs 16 to 1024: /,
    ],
  ];
  for (const [args, code, message] of cases) {
    const result = await runOmp(["emqx-plugin", ...args]);
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
    assert.match(result.stderr, /^omp: [^\n]*\n$/);
  }
});

test("a last line end is no part of the secret, nothing else is left out, and what can be mistaken is refused", (t) => {
  const longest = "x".repeat(1024);
  for (const end of ["", "\n", "\r\n"]) {
    assert.equal(String(readSecret(secretFile(temporaryDirectory(t), longest + end))), longest);
  }
  const refused: readonly [text: string, problem: RegExp][] = [
    [
      "a secret of sixteen or more\n\n",
      /^the secret in \S+ has several lines: it is one line, the same as engine\.secret/,
    ],
    ["a first line of sixteen\r\nand a second one\r\n", /has several lines/],
    ["a first line of sixteen\rand a second one\n", /has several lines/],
    ["a secret of sixteen or more \n", /^the secret in \S+ begins or ends with a blank: it is one line/],
    ["\ta secret of sixteen or more", /begins or ends with a blank/],
    ["\ufeffa secret of sixteen or more", /begins or ends with a blank/],
  ];
  for (const [text, problem] of refused) {
    const file = secretFile(temporaryDirectory(t), text);
    assert.throws(
      () => readSecret(file),
      (error: Error) => problem.test(error.message) && !/sixteen/.test(error.message),
    );
  }
  assert.throws(() => readSecret(secretFile(temporaryDirectory(t), `${longest}xyz`)), /is too long for a secret/);
  const pipe = join(temporaryDirectory(t), "pipe");
  execFileSync("mkfifo", [pipe]);
  assert.throws(() => readSecret(pipe), /is no regular file/);
});

test("listens, serves a node with the same secret, and stops cleanly", async (t) => {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const args = ["--secret-file", secretFile(directory), "--data-dir", directory, "--log-format", "json"];
  const { child, port } = await start(scope, ...args);
  const secret = Buffer.from("a secret of sixteen or more");
  const node = await ScriptedNode.start(scope, { port, secret, config: CONFIG });
  assert.deepEqual(await node.publish("t", "1"), { result: "stored" });
  const second = await runOmp(["emqx-plugin", "--listen", "127.0.0.1:0", ...args]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /another omp broker or engine for EMQX uses the data directory/);
  await assert.rejects(ScriptedNode.start(scope, { port, secret: Buffer.from("another secret 16") }), { reason: 2 });
  const { code, stderr } = await child.stop();
  assert.equal(code, 0);
  await waitFor(() => !node.isUp, { what: "the end of the link" });
  assert.match(stderr, /a node of EMQX is connected/);
  assert.match(stderr, /has another secret/);
  assert.ok(!stderr.includes("sixteen"));
});

test("warns once of a link without TLS that others can reach, and of no other one", {
  skip: certificatesMissing,
}, async (t) => {
  const scope = inReverse(t);
  const { args, tls } = await withCertificate(scope);
  const warning = / warn +the link listens on 0\.0\.0\.0 without TLS, so that .* in clear: --tls-cert and --tls-key /g;
  for (const [more, times] of [
    [["--listen", "0.0.0.0:0"], 1],
    [["--listen", "0.0.0.0:0", ...tls], 0],
    [["--listen", "localhost:0"], 0],
  ] as const) {
    const { child } = await start(scope, ...args, ...more);
    const { code, stderr } = await child.stop();
    assert.equal(code, 0);
    assert.match(stderr, /SIGTERM: stopping/);
    assert.equal(stderr.match(warning)?.length ?? 0, times, stderr);
    assert.equal(stderr.match(/ warn /g)?.length ?? 0, times, stderr);
  }
});

test("listens with TLS", { skip: certificatesMissing }, async (t) => {
  const scope = inReverse(t);
  const { args, tls } = await withCertificate(scope);
  const { child } = await start(scope, ...args, ...tls);
  assert.match(child.stdout, /listens .* \(TLS\)$/m);
  assert.equal((await child.stop()).code, 0);
});

test("SIGHUP: new certificates for new connections, and those from before where they are broken", {
  skip: certificatesMissing,
}, async (t) => {
  const scope = inReverse(t);
  const { directory, authority, certfile, args, tls } = await withCertificate(scope);
  const { child, port } = await start(scope, ...args, ...tls);
  const ca = readFileSync(authority.certfile, "utf8");
  const serialNumber = async (): Promise<string | undefined> => {
    const socket = (await openSocket(scope, { port, ca })) as TLSSocket;
    return socket.getPeerX509Certificate()?.serialNumber;
  };
  const first = await serialNumber();
  await makeCertificate(directory, "engine", authority);
  child.process.kill("SIGHUP");
  await child.output(/certificates were read again/);
  const second = await serialNumber();
  assert.notEqual(second, first);
  writeFileSync(certfile, "broken");
  child.process.kill("SIGHUP");
  await child.output(/certificates stay as they were .*engine\.pem: has no certificate/);
  assert.equal(await serialNumber(), second);
  assert.equal((await child.stop()).code, 0);
});

test("SIGHUP without TLS: nothing ends", async (t) => {
  const scope = inReverse(t);
  const directory = temporaryDirectory(scope);
  const { child, port } = await start(scope, "--secret-file", secretFile(directory), "--data-dir", directory);
  child.process.kill("SIGHUP");
  await child.output(/there are no certificates to read again/);
  const secret = Buffer.from("a secret of sixteen or more");
  const node = await ScriptedNode.start(scope, { port, secret, config: CONFIG });
  assert.deepEqual(await node.publish("t", "1"), { result: "stored" });
  assert.equal((await child.stop()).code, 0);
});
