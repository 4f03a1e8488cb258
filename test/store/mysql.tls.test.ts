// TLS to MySQL that cannot work: what the health says of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeAuthority } from "../support/certificates.ts";
import { type MariadbPlace, mariadbSkip, startPlain, startTls } from "../support/mariadb.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startStore } from "./mysql-stores.ts";

describe("TLS to MySQL", { skip: mariadbSkip("TLS") }, () => {
  test("what is wrong with it is told, and that the server has to be started is not", async (t) => {
    const { place } = await startTls(t);
    const plain = await startPlain(t);
    const { tls } = place;
    assert.ok(tls);
    const other = await makeAuthority(temporaryDirectory(t), "other");
    const cases: readonly (readonly [MariadbPlace, RegExp])[] = [
      [{ ...place, tls: { ...tls, cacertfile: other.certfile } }, /cannot agree on TLS \(.*certificate/],
      [{ ...place, tls: { ...tls, serverNameIndication: "other.test" } }, /cannot agree on TLS \(.*altnames/],
      [{ ...plain.place, tls }, /cannot agree on TLS \(.*does not support/],
      [{ ...place, tls: { ...tls, certfile: "", keyfile: "" } }, /asks this account for TLS or a client certificate/],
    ];
    for (const [at, told] of cases) {
      const { store } = await startStore(t, at);
      assert.match(store.health().error?.message ?? "ok", told);
      assert.doesNotMatch(store.health().error?.message ?? "", /start it/);
    }
  });
});
