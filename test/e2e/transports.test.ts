// `omp broker` over every transport, with MQTT.js: configuration, certificates, and the clean stop.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { connect } from "node:tls";
import mqtt, { type IDisconnectPacket, type MqttClient } from "mqtt";
import { certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { runOmp, startBroker } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { within } from "../support/wait-for.ts";

const skip = certificatesMissing ?? false;
const SCHEMES = ["mqtt", "mqtts", "ws", "wss"];
/** How long a clean stop may take, in ms. */
const STOP_LIMIT = 5000;

/** Connects with MQTT 5 to a URL of the greeting. */
async function connectTo(t: TestContext, url: string | undefined, clientId: string, ca?: Buffer) {
  const client = mqtt.connect(String(url), { clientId, ca, protocolVersion: 5, reconnectPeriod: 0 });
  t.after(() => {
    client.end(true);
  });
  await within(
    new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
    }),
    { what: `CONNACK from ${url}` },
  );
  client.on("error", () => {});
  return client;
}

/** The arguments of the client's next event of that name. */
function next<Arguments extends unknown[]>(client: MqttClient, event: "message" | "disconnect" | "close") {
  return new Promise<Arguments>((resolve) => {
    client.once(event, (...given: unknown[]) => resolve(given as Arguments));
  });
}

/** A data directory with certificates and an omp.hocon that turns every listener on. */
async function prepare(t: TestContext) {
  const dataDirectory = temporaryDirectory(t);
  const authority = await makeAuthority(dataDirectory, "authority");
  const server = await makeCertificate(dataDirectory, "server", authority);
  // Relative to omp.hocon.
  const files = 'ssl_options { certfile = "server.pem", keyfile = "server.key" }';
  const config = ["ssl", "wss"].map(
    (type) => `listeners.${type}.default { enable = true, bind = "127.0.0.1:0", ${files} }`,
  );
  writeFileSync(join(dataDirectory, "omp.hocon"), `${config.join("\n")}\n`);
  return { dataDirectory, authority, server, ca: readFileSync(authority.certfile) };
}

/** The serial number of the certificate that a new connection to that URL sees. */
async function serialNumber(url: string | undefined, ca: Buffer): Promise<string> {
  const { hostname, port } = new URL(String(url));
  const socket = connect({ host: hostname, port: Number(port), ca });
  await within(once(socket, "secureConnect"), { what: "a handshake" });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe("all transports", { skip }, () => {
  test("messages go from each to each, large ones too, and what is stored is fetched over any", async (t) => {
    const { dataDirectory, ca } = await prepare(t);
    const { urls } = await startBroker(t, { dataDirectory });
    assert.deepEqual(Object.keys(urls), SCHEMES);
    assert.match(String(urls.ws), /\/mqtt$/);
    const large = "x".repeat(900_000);
    const publisher = await connectTo(t, urls.mqtt, "before", ca);
    await publisher.publishAsync("stored", "while away", { qos: 1 });
    for (const from of SCHEMES) {
      const sender = await connectTo(t, urls[from], `from-${from}`, ca);
      for (const to of SCHEMES) {
        const receiver = await connectTo(t, urls[to], `to-${to}`, ca);
        const received: string[] = [];
        const got = new Promise<void>((resolve) => {
          receiver.on("message", (_topic, payload) => {
            received.push(payload.toString());
            if (received.length === 3) resolve();
          });
        });
        await receiver.subscribeAsync("t", { qos: 2 });
        await Promise.all(
          (["small", large, "last"] as const).map((payload) => sender.publishAsync("t", payload, { qos: 2 })),
        );
        await within(got, { what: `three messages from ${from} to ${to}` });
        assert.ok(received[0] === "small" && received[1] === large && received[2] === "last", `${from} to ${to}`);
        await receiver.endAsync();
      }
    }
    const late = await connectTo(t, urls.wss, "late", ca);
    const message = next<[string, Buffer]>(late, "message");
    await late.subscribeAsync("stored", { qos: 1 });
    assert.equal(String((await within(message, { what: "the stored message" }))[1]), "while away");
  });

  test("SIGHUP: a new certificate is seen by new connections, a broken one changes nothing", async (t) => {
    const { dataDirectory, authority, server, ca } = await prepare(t);
    const { urls, child } = await startBroker(t, { dataDirectory });
    const client = await connectTo(t, urls.mqtts, "stays", ca);
    const first = await serialNumber(urls.mqtts, ca);
    await makeCertificate(dataDirectory, "server", authority);
    child.process.kill("SIGHUP");
    await child.output(/(certificates were read again[\s\S]*){2}/);
    const second = await serialNumber(urls.mqtts, ca);
    assert.notEqual(second, first);
    assert.equal(await serialNumber(urls.wss, ca), second);
    writeFileSync(server.certfile, "broken");
    child.process.kill("SIGHUP");
    await child.output(/certificates stay as they were .*server\.pem: has no certificate/);
    assert.equal(await serialNumber(urls.mqtts, ca), second);
    await client.publishAsync("t", "still here", { qos: 1 });
  });

  test("SIGTERM: MQTT 5 clients are told over every transport, and all is over in time", async (t) => {
    const { dataDirectory, ca } = await prepare(t);
    const { urls, stop } = await startBroker(t, { dataDirectory });
    const told = await Promise.all(
      SCHEMES.map(async (scheme) => {
        const client = await connectTo(t, urls[scheme], scheme, ca);
        return {
          disconnected: next<[IDisconnectPacket]>(client, "disconnect"),
          closed: next(client, "close"),
        };
      }),
    );
    const since = performance.now();
    const stopped = stop();
    for (const { disconnected, closed } of told) {
      assert.equal((await within(disconnected, { what: "DISCONNECT" }))[0].reasonCode, 0x8b);
      await within(closed, { what: "the end of the connection" });
    }
    const { code } = await stopped;
    assert.equal(code, 0);
    assert.ok(performance.now() - since < STOP_LIMIT, `${performance.now() - since} ms`);
  });

  test("certificates that cannot be used are one line with file and line number, and exit code 2", async (t) => {
    const { dataDirectory, authority } = await prepare(t);
    const config = join(dataDirectory, "omp.hocon");
    const server = 'certfile = "server.pem"\nkeyfile = "server.key"';
    const cases: [string, RegExp][] = [
      [
        'certfile = "missing.pem"\nkeyfile = "server.key"',
        /:1: .*ssl_options\.certfile: \S+missing\.pem: .*no such file/,
      ],
      [`certfile = "server.pem"\nkeyfile = "${authority.keyfile}"`, /:2: .*keyfile: .* is not the key of/],
      [`${server}\nverify = verify_peer`, /:3: .*verify is verify_peer, and cacertfile is missing/],
      [`${server}\nfail_if_no_peer_cert = true`, /:3: .*fail_if_no_peer_cert has no effect/],
      ['keyfile = "server.key"', /:1: .*enable is true, and ssl_options\.certfile is missing/],
    ];
    for (const type of ["ssl", "wss"]) {
      for (const [options, message] of cases) {
        writeFileSync(
          config,
          `listeners.${type}.default { enable = true, bind = "127.0.0.1:0", ssl_options { ${options} } }`,
        );
        const { code, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, "--port", "0", "--ws-port", "0"]);
        assert.equal(code, 2, stderr);
        assert.match(stderr, message);
        assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
      }
    }
  });

  test("no listener goes beyond this machine unless that is allowed", async (t) => {
    const { dataDirectory } = await prepare(t);
    const config = join(dataDirectory, "omp.hocon");
    const files = 'ssl_options { certfile = "server.pem", keyfile = "server.key" }';
    for (const type of ["tcp", "ssl", "ws", "wss"]) {
      const more = type === "ssl" || type === "wss" ? files : "";
      writeFileSync(config, `listeners.${type}.default { enable = true\nbind = "0.0.0.0:0"\n${more} }`);
      const { code, stderr } = await runOmp(["broker", "--data-dir", dataDirectory]);
      assert.equal(code, 2);
      assert.match(
        stderr,
        new RegExp(`:2: listeners\\.${type}\\.default\\.bind: 0\\.0\\.0\\.0 can be reached by others`),
      );
    }
  });
});

test("without any listener the start is refused", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const config = join(dataDirectory, "omp.hocon");
  writeFileSync(config, "listeners.tcp.default.enable = false\nlisteners.ws.default.enable = false\n");
  const { code, stderr } = await runOmp(["broker", "--data-dir", dataDirectory]);
  assert.equal(code, 2);
  assert.match(stderr, /^omp: \S+omp\.hocon:2: no listener is enabled/);
});

test("a port in use is told with the listener's name and option", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const args = ["broker", "--data-dir", temporaryDirectory(t), "--port", "0", "--ws-port", String(port)];
  const { code, stderr } = await runOmp(args);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^omp: .*127\\.0\\.0\\.1:${port} for listeners\\.ws\\.default: .*--ws-port\\n$`));
});
