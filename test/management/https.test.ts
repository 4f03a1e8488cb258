// The API over TLS: beside HTTP or alone, with client certificates on request, and certificates that are read again.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { type RequestOptions, request } from "node:https";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import type { TlsOptions } from "../../src/broker/options.ts";
import { CertificateError } from "../../src/tls/certificates.ts";
import { certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { managementOnFreePort, startPluginBroker } from "./plugins/plugin-broker.ts";

const skip = certificatesMissing ?? false;
const LISTENER = { host: "127.0.0.1", port: 0, maxConnections: 8 };

async function start(t: TestContext, tls: Partial<TlsOptions> = {}, isAlone = false) {
  const directory = temporaryDirectory(t);
  const authority = await makeAuthority(directory, "authority");
  const server = await makeCertificate(directory, "server", authority);
  const options = { ...NO_CLIENTS, ...server, cacertfile: authority.certfile, ...tls };
  const broker = await startPluginBroker(t, {
    management: { http: isAlone ? undefined : managementOnFreePort.http, https: { ...LISTENER, tls: options } },
  });
  const { https } = broker.addresses;
  assert.ok(https);
  const ask = (more: RequestOptions = {}): Promise<{ status: number | undefined; fingerprint: string }> =>
    new Promise((resolve, reject) => {
      const ca = readFileSync(authority.certfile);
      const asked = request(
        { ...https, path: "/api/v5/plugins", auth: "key:secret", ca, agent: false, ...more },
        (response) => {
          const { fingerprint } = (response.socket as TLSSocket).getPeerCertificate();
          response.resume();
          response.on("end", () => resolve({ status: response.statusCode, fingerprint }));
        },
      );
      asked.on("error", reject);
      asked.end();
    });
  return { broker, directory, authority, ask };
}

const NO_CLIENTS = { password: "", verify: "verify_none", failIfNoPeerCert: false } as const;

test("the same is answered over TLS, also alone", { skip }, async (t) => {
  const { broker, ask } = await start(t, {}, true);
  assert.equal(broker.addresses.http, undefined);
  assert.equal((await ask()).status, 200);
  assert.equal((await ask({ auth: "key:wrong" })).status, 401);
});

test("certificates are read again for connections to come, and a wrong file changes nothing", { skip }, async (t) => {
  const { broker, directory, authority, ask } = await start(t);
  const { fingerprint } = await ask();
  const next = await makeCertificate(directory, "server", authority);
  await broker.embedded.reloadCertificates();
  const { fingerprint: second } = await ask();
  assert.notEqual(second, fingerprint);
  writeFileSync(next.certfile, "no certificate");
  await broker.embedded.reloadCertificates();
  assert.equal((await ask()).fingerprint, second);
  assert.ok(broker.log.some(({ level, message }) => level === "error" && message === "certificates stay as they were"));
});

test("clients without a certificate that is wanted do not get in", { skip }, async (t) => {
  const { directory, authority, ask } = await start(t, { verify: "verify_peer", failIfNoPeerCert: true });
  await assert.rejects(ask());
  const { certfile, keyfile } = await makeCertificate(directory, "client", authority);
  assert.equal((await ask({ cert: readFileSync(certfile), key: readFileSync(keyfile) })).status, 200);
});

test("a certificate that cannot be used keeps the server from starting", { skip }, async (t) => {
  await assert.rejects(start(t, { certfile: "/nowhere.pem" }), CertificateError);
});
