// MQTT over TLS and secure WebSocket: versions, client certificates, reloading, files that cannot be used.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import type { BrokerOptions, TlsOptions } from "../../src/broker/options.ts";
import { CertificateError, readCertificates } from "../../src/tls/certificates.ts";
import { type CertificateFiles, certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { RawClient } from "./raw-client.ts";
import { connectBytes } from "./websocket-client.ts";

const skip = certificatesMissing ?? false;
const websocket = { mqttPath: "/mqtt", maxFrameSize: 65_536, checkOriginEnable: true, checkOrigins: [] };

interface Files {
  readonly directory: string;
  readonly authority: CertificateFiles;
  readonly server: CertificateFiles;
}

async function makeFiles(t: TestContext): Promise<Files> {
  const directory = temporaryDirectory(t);
  const authority = await makeAuthority(directory, "authority");
  return { directory, authority, server: await makeCertificate(directory, "server", authority) };
}

function tlsOf({ server, authority }: Files, more: Partial<TlsOptions> = {}): TlsOptions {
  const cacertfile = authority.certfile;
  return { ...server, password: "", cacertfile, verify: "verify_none", failIfNoPeerCert: false, ...more };
}

async function startTlsBroker(t: TestContext, tls: TlsOptions, options: Partial<BrokerOptions> = {}) {
  const where = { host: "127.0.0.1", port: 0, tls };
  const fixture = await startBroker(t, { ...options, ssl: where, wss: { ...where, websocket } });
  const { mqtts, wss } = fixture.addresses;
  return { ...fixture, mqtts: mqtts?.port as number, wss: wss?.port as number };
}

/** Whether a client that connects so over TLS gets a CONNACK. */
async function isAccepted(port: number, options: ConnectionOptions): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1", ...options });
  socket.on("error", () => {});
  socket.on("secureConnect", () => socket.write(connectBytes()));
  const answered = once(socket, "data").then(([data]) => data[0] === 0x20);
  const closed = once(socket, "close").then(() => false);
  // Whichever comes second may fail.
  for (const promise of [answered, closed]) promise.catch(() => {});
  const accepted = await within(Promise.race([answered.catch(() => false), closed.catch(() => false)]), {
    what: "an answer or the end",
  });
  socket.destroy();
  return accepted;
}

/** The same over secure WebSocket. */
async function isUpgraded(port: number, options: ConnectionOptions): Promise<boolean> {
  const webSocket = new WebSocket(`wss://127.0.0.1:${port}/mqtt`, ["mqtt"], options as object);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  webSocket.on("open", () => resolve(true));
  webSocket.on("error", () => resolve(false));
  const upgraded = await within(promise, { what: "an answer or the end" });
  webSocket.terminate();
  return upgraded;
}

/** The serial number of the certificate that a new connection sees. */
async function serialNumber(port: number, ca: Buffer): Promise<string> {
  const socket: TLSSocket = connect({ port, host: "127.0.0.1", ca });
  await within(once(socket, "secureConnect"), { what: "a handshake" });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe("TLS", { skip }, () => {
  test("TLS 1.2 and 1.3 are spoken, older versions not", async (t) => {
    const files = await makeFiles(t);
    const { mqtts, wss } = await startTlsBroker(t, tlsOf(files));
    const ca = readFileSync(files.authority.certfile);
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      assert.ok(await isAccepted(mqtts, { ca, minVersion: version, maxVersion: version }), version);
      assert.ok(await isUpgraded(wss, { ca, minVersion: version, maxVersion: version }), version);
    }
    for (const port of [mqtts, wss]) {
      const old = { ca, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
      const socket = connect({ port, host: "127.0.0.1", ...old });
      const [error] = await within(
        once(socket, "error").catch((cause: unknown) => [cause]),
        { what: "an alert" },
      );
      assert.equal((error as NodeJS.ErrnoException).code, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    }
  });

  for (const failIfNoPeerCert of [false, true]) {
    test(`client certificates are asked for, fail_if_no_peer_cert = ${failIfNoPeerCert}`, async (t) => {
      const files = await makeFiles(t);
      const { directory, authority } = files;
      const client = await makeCertificate(directory, "client", authority);
      const foreign = await makeCertificate(directory, "foreign", await makeAuthority(directory, "other"));
      const { mqtts, wss } = await startTlsBroker(t, tlsOf(files, { verify: "verify_peer", failIfNoPeerCert }));
      const ca = readFileSync(authority.certfile);
      const pair = ({ certfile, keyfile }: CertificateFiles) => ({
        cert: readFileSync(certfile),
        key: readFileSync(keyfile),
      });
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const options = { ca, maxVersion: version };
        for (const [name, given, expected] of [
          ["its own", pair(client), true],
          ["a foreign one", pair(foreign), false],
          ["none", {}, !failIfNoPeerCert],
        ] as const) {
          assert.equal(await isAccepted(mqtts, { ...options, ...given }), expected, `mqtts, ${version}, ${name}`);
          assert.equal(await isUpgraded(wss, { ...options, ...given }), expected, `wss, ${version}, ${name}`);
        }
      }
    });
  }

  test("new certificates are seen by new connections, open ones stay; broken ones change nothing", async (t) => {
    const files = await makeFiles(t);
    const { directory, authority, server } = files;
    const { broker, log, mqtts, wss } = await startTlsBroker(t, tlsOf(files));
    const ca = readFileSync(authority.certfile);
    const open = connect({ port: mqtts, host: "127.0.0.1", ca });
    await once(open, "secureConnect");
    const first = await serialNumber(mqtts, ca);
    assert.equal(await serialNumber(wss, ca), first);

    await makeCertificate(directory, "server", authority);
    assert.equal(await serialNumber(mqtts, ca), first, "not before it is asked for");
    await Promise.all([broker.reloadCertificates(), broker.reloadCertificates(), broker.reloadCertificates()]);
    const second = await serialNumber(mqtts, ca);
    assert.notEqual(second, first);
    assert.equal(await serialNumber(wss, ca), second);

    const good = readFileSync(server.certfile);
    const errors = () => log.filter(({ level }) => level === "error").map(({ fields }) => String(fields.err));
    writeFileSync(server.certfile, "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
    await broker.reloadCertificates();
    assert.equal(errors().length, 2);
    assert.ok(errors().every((message) => message.includes(server.certfile)));
    assert.equal(await serialNumber(mqtts, ca), second);
    assert.equal(await serialNumber(wss, ca), second);

    writeFileSync(server.certfile, good);
    copyFileSync(authority.keyfile, server.keyfile);
    await broker.reloadCertificates();
    assert.match(errors().at(-1) ?? "", /is not the key of the certificate/);
    assert.equal(await serialNumber(mqtts, ca), second);

    open.write(connectBytes({ clientId: "open" }));
    const [connack] = await within(once(open, "data"), { what: "CONNACK" });
    assert.equal(connack[0], 0x20);
    open.destroy();
  });

  test("a client that never shakes hands ends after the idle timeout", async (t) => {
    const { mqtts, wss } = await startTlsBroker(t, tlsOf(await makeFiles(t)), { idleTimeout: 0.2 });
    for (const port of [mqtts, wss]) {
      const silent = await RawClient.open(port);
      await silent.closed();
    }
  });

  test("what is no TLS is closed, and harms nobody", async (t) => {
    const files = await makeFiles(t);
    const { mqtts, wss } = await startTlsBroker(t, tlsOf(files));
    for (const port of [mqtts, wss]) {
      const plain = await RawClient.open(port);
      plain.socket.removeAllListeners("data").resume();
      plain.socket.write(connectBytes());
      await plain.closed();
    }
    assert.ok(await isAccepted(mqtts, { ca: readFileSync(files.authority.certfile) }));
  });

  test("a broker that stops drops whoever is in the middle of a handshake", async (t) => {
    const { broker, mqtts, wss } = await startTlsBroker(t, tlsOf(await makeFiles(t)));
    const silent = [await RawClient.open(mqtts), await RawClient.open(wss)];
    await broker.stop();
    await waitFor(() => silent.every(({ isClosed }) => isClosed), { what: "the end of the silent clients" });
  });

  test("each file that cannot be used is named", async (t) => {
    const files = await makeFiles(t);
    const { directory, authority } = files;
    const broken = join(directory, "broken.pem");
    writeFileSync(broken, "no PEM");
    const large = join(directory, "large.pem");
    writeFileSync(large, Buffer.alloc(1024 * 1024 + 1, 10));
    const missing = join(directory, "missing.pem");
    const cases: [Partial<TlsOptions>, CertificateError["option"], RegExp][] = [
      [{ certfile: missing }, "certfile", /there is no such file/],
      [{ certfile: directory }, "certfile", /cannot be read/],
      [{ certfile: large }, "certfile", /larger than 1048576 bytes/],
      [{ certfile: broken }, "certfile", /has no certificate/],
      [{ keyfile: missing }, "keyfile", /there is no such file/],
      [{ keyfile: broken }, "keyfile", /has no key/],
      [{ keyfile: authority.keyfile }, "keyfile", /is not the key of the certificate/],
      [{ cacertfile: missing }, "cacertfile", /there is no such file/],
      [{ cacertfile: broken }, "cacertfile", /has no certificate/],
    ];
    for (const [given, option, message] of cases) {
      await assert.rejects(readCertificates(tlsOf(files, given)), (error: unknown) => {
        assert.ok(error instanceof CertificateError, String(error));
        assert.equal(error.option, option);
        assert.match(error.message, message);
        assert.ok(error.message.startsWith(String(given[option])));
        return true;
      });
    }
    if (process.getuid?.() !== 0) {
      chmodSync(files.server.keyfile, 0);
      await assert.rejects(readCertificates(tlsOf(files)), /permission denied/);
    }
  });
});
