// Certificates for the way to the store that cannot be used are a mistake in the configuration, told before anything starts.

import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { PLUGIN_CONFIG_FILE, runOmp, startBrokerWith } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

describe("certificates for the store", { skip: certificatesMissing ?? false }, () => {
  const directory = temporaryDirectory({ after });
  before(async () => {
    const authority = await makeAuthority(directory, "authority");
    await makeCertificate(directory, "client", authority);
    writeFileSync(join(directory, "broken.pem"), "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
    writeFileSync(join(directory, "empty.pem"), "");
  });

  for (const [name, ssl, expected] of [
    [
      "an authority that is not there",
      ['cacertfile = "DIR/missing.pem"'],
      /:3: redis\.ssl\.cacertfile: \S+missing\.pem: .*no such file/,
    ],
    ["an authority that is a directory", ['cacertfile = "DIR"'], /:3: redis\.ssl\.cacertfile: \S+: cannot be read/],
    [
      "an authority that is none",
      ['cacertfile = "DIR/empty.pem"'],
      /:3: redis\.ssl\.cacertfile: \S+empty\.pem: has no certificate/,
    ],
    [
      "a relative path",
      ['cacertfile = "authority.pem"'],
      /:3: redis\.ssl\.cacertfile: \S+plugins\/\S+\/authority\.pem: .*no such file/,
    ],
    [
      "a certificate that is not there",
      ['keyfile = "DIR/client.key"', 'certfile = "DIR/missing.pem"'],
      /:4: redis\.ssl\.certfile: .*no such file/,
    ],
    [
      "a certificate that is none",
      ['certfile = "DIR/broken.pem"', 'keyfile = "DIR/client.key"'],
      /:3: redis\.ssl\.certfile: \S+broken\.pem: has no certificate/,
    ],
    [
      "a certificate without its key",
      ['certfile = "DIR/client.pem"'],
      /:1: redis\.ssl\.keyfile: is missing: name the key of \S+client\.pem/,
    ],
    [
      "a key without its certificate",
      ['keyfile = "DIR/client.key"'],
      /:1: redis\.ssl\.certfile: is missing: name the certificate of \S+client\.key/,
    ],
    [
      "a key that is none",
      ['certfile = "DIR/client.pem"', 'keyfile = "DIR/empty.pem"'],
      /:4: redis\.ssl\.keyfile: \S+empty\.pem: has no key that can be read/,
    ],
    [
      "a key that does not fit",
      ['certfile = "DIR/client.pem"', 'keyfile = "DIR/authority.key"'],
      /:4: redis\.ssl\.keyfile: \S+authority\.key: is not the key of/,
    ],
  ] satisfies [string, string[], RegExp][]) {
    test(`refuses ${name}`, async (t) => {
      const own = temporaryDirectory(t);
      const file = join(own, "given.hocon");
      const lines = [
        "redis.ssl {",
        "enable = true",
        ...ssl,
        "}",
        'redis { enable = true, servers = "127.0.0.1:1" }',
        "",
      ];
      writeFileSync(file, lines.join("\n").replaceAll("DIR", directory));
      const args = ["broker", "--data-dir", join(own, "data"), "--port", "0", "--plugin-config", file];
      const { code, stdout, stderr } = await runOmp(args);
      assert.deepEqual({ code, stdout }, { code: 2, stdout: "" }, stderr);
      assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
      assert.ok(stderr.startsWith(`omp: ${file}:`), stderr);
      assert.match(stderr, expected);
      assert.deepEqual(readdirSync(own), ["given.hocon"], "nothing is left behind");
    });
  }

  test("does not look at them while TLS is off, or another backend is enabled", async (t) => {
    for (const more of [
      'redis { enable = true, servers = "127.0.0.1:1" }\nstore_timeout = 100',
      "redis.ssl.enable = true",
    ]) {
      const broker = await startBrokerWith(t, `redis.ssl.cacertfile = "missing.pem"\n${more}\n`);
      assert.match(broker.child.stdout, new RegExp(PLUGIN_CONFIG_FILE));
      assert.equal((await broker.stop()).code, 0);
    }
  });
});
