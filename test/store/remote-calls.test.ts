// What calls to a database server tell of its health when their time is over.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreUnavailableError } from "../../src/store/errors.ts";
import { type Outcome, RemoteCalls, type RemoteServer } from "../../src/store/remote-calls.ts";
import type { StoreHealth } from "../../src/store/store.ts";
import { waitFor } from "../support/wait-for.ts";

/** Longer than between two probes of a server that does not work. */
const TIMEOUT = 600;

test("a call of the time before the server was back says nothing of it", async (t) => {
  const healths: StoreHealth[] = [];
  let flushes = 0;
  const server: RemoteServer<string> = {
    where: "the server",
    open: async () => {},
    close: () => {},
    probe: async () => undefined,
    works: () => {},
    problemOf: ({ message }) => ({ kind: "retry", error: new StoreUnavailableError(message) }),
    // Nothing is ever answered.
    flush: () => {
      flushes++;
      return new Promise<Outcome[]>(() => {});
    },
  };
  const calls = new RemoteCalls(server, { timeout: TIMEOUT, batchSize: 1 });
  t.after(() => void calls.stop());
  await calls.start({ healthChanged: (health) => healths.push(health) });
  const statuses = () => healths.map(({ status }) => status);

  const { promise: answer, reject: breakConnection } = Promise.withResolvers<never>();
  let tries = 0;
  const read = calls.read(async () => (tries++ === 0 ? answer : "read"));
  await waitFor(() => tries === 1, { what: "the read under way" });
  const early = calls.write("early");
  await waitFor(() => flushes === 1, { what: "the write under way" });
  breakConnection(new Error("the connection is broken") as never);
  assert.equal(await read, "read");
  assert.deepEqual(statuses(), ["error", "ok"]);
  await assert.rejects(early, /did not answer within/);
  assert.deepEqual(statuses(), ["error", "ok"], "what was called before says nothing of now");
});
