// Stock clients over TLS against `omp broker`: mosquitto_pub and mosquitto_sub with their certificates, MQTT.js beside them.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import mqtt, { type IClientOptions } from "mqtt";
import { type CertificateFiles, certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { type Address, findMosquitto } from "../support/mosquitto.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { type RunningBroker, startBroker } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { within } from "../support/wait-for.ts";

const mosquitto = await findMosquitto();
const skip = mosquitto.missing ?? certificatesMissing ?? false;

interface Secured {
  readonly broker: RunningBroker;
  readonly directory: string;
  readonly authority: CertificateFiles;
  /** Of a listener by its URL's scheme. */
  addressOf(scheme: "mqtts" | "wss"): Address;
  /** The options by which mosquitto's clients trust an authority. */
  readonly trusting: readonly string[];
}

/** `omp broker` with TLS; `more` goes into the `ssl_options` of both TLS listeners. */
async function startSecured(t: TestContext, more = ""): Promise<Secured> {
  const directory = temporaryDirectory(t);
  const authority = await makeAuthority(directory, "authority");
  await makeCertificate(directory, "server", authority);
  const files = `certfile = "server.pem", keyfile = "server.key", cacertfile = "authority.pem"`;
  const listener = (type: string): string =>
    `listeners.${type}.default { enable = true, bind = "127.0.0.1:0", ssl_options { ${files}\n${more} } }\n`;
  writeFileSync(join(directory, "omp.hocon"), listener("ssl") + listener("wss"));
  const broker = await startBroker(t, { dataDirectory: directory });
  const addressOf: Secured["addressOf"] = (scheme) => {
    const { hostname, port } = new URL(String(broker.urls[scheme]));
    return { host: hostname, port: Number(port) };
  };
  return { broker, directory, authority, addressOf, trusting: trust(authority) };
}

function trust({ certfile }: CertificateFiles): string[] {
  return ["--cafile", certfile];
}

function shown({ certfile, keyfile }: CertificateFiles): string[] {
  return ["--cert", certfile, "--key", keyfile];
}

/** Whether MQTT.js gets no CONNACK: with TLS 1.3 a client may learn of its refusal by the end of the connection only. */
function isRefused(t: TestContext, { host, port }: Address, options: IClientOptions): Promise<boolean> {
  const client = mqtt.connect({ host, port, reconnectPeriod: 0, ...options });
  t.after(() => client.endAsync(true));
  return within(
    new Promise<boolean>((resolve) => {
      client.on("connect", () => resolve(false));
      client.on("error", () => resolve(true));
      client.on("close", () => resolve(true));
    }),
    { what: "CONNACK or the end" },
  );
}

describe("mosquitto's clients over TLS", { skip }, () => {
  for (const version of ["mqttv31", "mqttv311", "mqttv5"]) {
    test(`${version}: every QoS, a will, and what was stored while nobody was there`, async (t) => {
      const { addressOf, trusting } = await startSecured(t);
      const address = addressOf("mqtts");
      const args = ["-V", version, ...trusting];
      const stored = await mosquitto.publish(address, [...args, "-t", "t/stored", "-q", "1", "-m", "before"]);
      assert.equal(stored.code, 0, stored.stderr);
      const subscriber = mosquitto.subscribe(t, address, [...args, "-t", "t/#", "-q", "2"]);
      await subscriber.received(1);
      for (const qos of ["0", "1", "2"]) {
        const { code, stderr } = await mosquitto.publish(address, [...args, "-t", "t/x", "-q", qos, "-m", qos]);
        assert.equal(code, 0, stderr);
      }
      const will = ["--will-topic", "t/will", "--will-payload", "gone", "--will-qos", "1"];
      const dying = mosquitto.subscribe(t, address, [...args, ...will, "-t", "none"]);
      await dying.subscribed();
      await dying.child.stop("SIGKILL");
      const messages = await subscriber.received(5);
      assert.deepEqual(
        messages.map(({ topic, payload, qos }) => [topic, payload, qos]),
        [
          ["t/stored", "before", 1],
          ["t/x", "0", 0],
          ["t/x", "1", 1],
          ["t/x", "2", 2],
          ["t/will", "gone", 1],
        ],
      );
    });
  }

  test("a server that another authority vouches for is refused by the client", async (t) => {
    const { addressOf, directory } = await startSecured(t);
    const other = await makeAuthority(directory, "other");
    const { code, stderr } = await mosquitto.publish(addressOf("mqtts"), [...trust(other), "-t", "t", "-m", "x"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /certificate verify failed|TLS error/);
    assert.equal(await isRefused(t, addressOf("mqtts"), { protocol: "mqtts", ca: readFileSync(other.certfile) }), true);
  });

  test("client certificates: required, of the right authority, over TLS and secure WebSocket", async (t) => {
    const secured = await startSecured(t, "verify = verify_peer, fail_if_no_peer_cert = true");
    const { addressOf, directory, authority, trusting } = secured;
    const address = addressOf("mqtts");
    const other = await makeAuthority(directory, "other");
    const client = await makeCertificate(directory, "client", authority);
    const foreign = await makeCertificate(directory, "foreign", other);
    for (const version of ["mqttv311", "mqttv5"]) {
      const args = ["-V", version, "-t", "t", "-q", "1", "-m", "x", ...trusting];
      const accepted = await mosquitto.publish(address, [...args, ...shown(client)]);
      assert.equal(accepted.code, 0, accepted.stderr);
      for (const refused of [[], shown(foreign)]) {
        const { code } = await mosquitto.publish(address, [...args, ...refused]);
        assert.notEqual(code, 0, `${version} ${refused.join(" ")}`);
      }
    }
    const ca = readFileSync(authority.certfile);
    const pair = ({ certfile, keyfile }: CertificateFiles) => ({
      cert: readFileSync(certfile),
      key: readFileSync(keyfile),
    });
    for (const scheme of ["mqtts", "wss"] as const) {
      const options = { protocol: scheme, path: "/mqtt", ca } as const;
      const accepted = await connectClient(t, addressOf(scheme), { ...options, ...pair(client) });
      await accepted.client.publishAsync("t", "x", { qos: 1 });
      for (const refused of [{}, pair(foreign)]) {
        assert.equal(await isRefused(t, addressOf(scheme), { ...options, ...refused }), true, scheme);
      }
    }
  });

  test("SIGHUP: new connections see the new certificate, and those that are open stay", async (t) => {
    const { broker, addressOf, directory, trusting } = await startSecured(t);
    const address = addressOf("mqtts");
    const subscriber = mosquitto.subscribe(t, address, [...trusting, "-t", "t", "-q", "1"]);
    await subscriber.subscribed();
    const next = await makeAuthority(directory, "next");
    await makeCertificate(directory, "server", next);
    broker.child.process.kill("SIGHUP");
    await broker.child.output(/(certificates were read again[\s\S]*){2}/);
    const message = ["-t", "t", "-q", "1", "-m", "after"];
    const refused = await mosquitto.publish(address, [...trusting, ...message]);
    assert.notEqual(refused.code, 0);
    const accepted = await mosquitto.publish(address, [...trust(next), ...message]);
    assert.equal(accepted.code, 0, accepted.stderr);
    await subscriber.received(1);
    assert.deepEqual(subscriber.payloads, ["after"]);
  });
});
