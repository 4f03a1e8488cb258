// Starting and stopping a broker, and its options.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Broker } from "../../src/broker/broker.ts";
import { BrokerOptionError, BrokerStateError, ListenError } from "../../src/broker/errors.ts";
import { defaultOptions, resolveOptions } from "../../src/broker/options.ts";
import { loggerInto } from "./broker-fixture.ts";

test("the defaults are valid, and each option outside its limits is named", () => {
  assert.deepEqual(resolveOptions(), defaultOptions);
  assert.equal(resolveOptions({ maxInflight: 5 }).maxInflight, 5);
  for (const [name, value] of Object.entries(defaultOptions)) {
    if (typeof value !== "number") continue;
    for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(
        () => resolveOptions({ [name]: wrong }),
        (error: unknown) => {
          assert.ok(error instanceof BrokerOptionError);
          assert.ok(error.message.includes(name));
          return true;
        },
      );
    }
  }
  assert.throws(() => resolveOptions({ maxInflight: 1.5 }), BrokerOptionError);
  for (const serverKeepalive of [-1, 65_536, 1.5, Number.NaN]) {
    assert.throws(() => resolveOptions({ serverKeepalive }), /serverKeepalive is "disabled" or a whole number/);
  }
  for (const serverKeepalive of ["disabled", 0, 65_535] as const) {
    assert.equal(resolveOptions({ serverKeepalive }).serverKeepalive, serverKeepalive);
  }
  for (const responseInformation of ["a\0b", "\ud800", "ü".repeat(32_768)]) {
    assert.throws(() => resolveOptions({ responseInformation }), /responseInformation takes more than 65535 bytes/);
  }
  assert.throws(() => resolveOptions({ maxWriteBuffer: 5000, maxWriteBacklog: 4000 }), BrokerOptionError);
});

test("an address that is taken is told with what to do", async (t) => {
  const first = new Broker({ options: { port: 0 }, logger: loggerInto([]) });
  t.after(() => first.stop());
  const { mqtt: { host, port } = {} } = await first.start();
  assert.equal(host, "127.0.0.1");
  const second = new Broker({ options: { port }, logger: loggerInto([]) });
  t.after(() => second.stop());
  await assert.rejects(second.start(), (error: unknown) => {
    assert.ok(error instanceof ListenError);
    assert.match(error.message, /another port/);
    return true;
  });
});

test("a host that does not resolve, and an address of another machine, are told with what to do", async () => {
  // The system's resolver turns that name down by itself.
  for (const [host, message] of [
    [
      "no..host",
      /\(ENOTFOUND\): no address is known for that name: correct it, or choose an address of this machine\.$/,
    ],
    ["192.0.2.1", /\(EADDRNOTAVAIL\): that is no address of this machine: choose another\.$/],
  ] as const) {
    const broker = new Broker({ options: { host, port: 0 }, logger: loggerInto([]) });
    await assert.rejects(broker.start(), (error: unknown) => {
      assert.ok(error instanceof ListenError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("a broker starts once, and may be stopped twice", async () => {
  const broker = new Broker({ options: { port: 0 }, logger: loggerInto([]) });
  await broker.start();
  await assert.rejects(broker.start(), BrokerStateError);
  await broker.stop();
  await broker.stop();
});

test("TCP can be switched off", async (t) => {
  const broker = new Broker({ options: { port: 0, tcp: false }, logger: loggerInto([]) });
  t.after(() => broker.stop());
  assert.equal((await broker.start()).mqtt, undefined);
});
