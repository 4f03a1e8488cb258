// `kill -9` of the broker: what its API has answered as done is there afterwards.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApiClient, apiClient } from "../management/api-client.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { type RunningBroker, startBroker } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

/** Requests that are under way at a time. */
const LANES = 8;

async function start(t: TestContext, dataDirectory: string): Promise<RunningBroker & { readonly api: ApiClient }> {
  const keys = join(dataDirectory, "keys");
  writeFileSync(keys, "key:secret\n", { mode: 0o600 });
  const broker = await startBroker(t, { dataDirectory, args: ["--api-keys", keys] });
  return { ...broker, api: await apiClient(new URL(broker.metricsUrl ?? "").origin) };
}

const persistent = { clean: false, properties: { sessionExpiryInterval: 3600 } };

test("killed in the middle of a stream of publishes over HTTP: each that was answered with 200 arrives", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const broker = await start(t, dataDirectory);
  const away = await connectClient(t, broker.address, { clientId: "away", ...persistent });
  await away.end();
  const taken: string[] = [];
  const lane = async (lane: number): Promise<void> => {
    for (let index = 0; ; index++) {
      const payloads = [`${lane}-${index}-a`, `${lane}-${index}-b`];
      const bulk = payloads.map((payload, at) => ({ topic: `t/${at}`, payload, qos: 1 + at }));
      const { status } = await broker.api.post("/publish/bulk", bulk);
      if (status === 200) taken.push(...payloads);
    }
  };
  const lanes = Promise.allSettled(Array.from({ length: LANES }, (_, number) => lane(number)));
  await waitFor(() => taken.length > 200, { what: "200 messages to be taken" });
  assert.equal((await broker.api.post("/clients/away/subscribe", { topic: "t/#", qos: 1 })).status, 200);
  const before = taken.length;
  await waitFor(() => taken.length > before + 200, { what: "more messages" });
  await broker.stop("SIGKILL");
  await lanes;

  const again = await start(t, dataDirectory);
  const { body } = await again.api.get("/clients/away/subscriptions");
  assert.deepEqual(
    body.map(({ topic, qos }: { topic: string; qos: number }) => [topic, qos]),
    [["t/#", 1]],
  );
  const back = await connectClient(t, again.address, { clientId: "away", ...persistent });
  const arrived = (): Set<string> => new Set(back.payloads);
  await waitFor(() => taken.every((payload) => arrived().has(payload)), { what: "each message", interval: 50 });
  assert.equal(arrived().size, back.payloads.length, "nothing arrives twice");
});

test("a session that was kicked is gone after a kill, and one that is not is there", async (t) => {
  const dataDirectory = temporaryDirectory(t);
  const broker = await start(t, dataDirectory);
  for (const clientId of ["kicked", "stays"]) {
    await (await connectClient(t, broker.address, { clientId, ...persistent })).end();
  }
  assert.equal((await broker.api.delete("/clients/kicked")).status, 204);
  await broker.stop("SIGKILL");
  const { api } = await start(t, dataDirectory);
  const ids = (await api.get("/clients")).body.data.map(({ clientid }: { clientid: string }) => clientid);
  assert.deepEqual(ids, ["stays"]);
});
