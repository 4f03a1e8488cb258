// What the broker remembers of the last fifteen minutes: rates from counters, a ring of fixed size, and only what is new.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../../../src/broker/metrics.ts";
import { Monitor } from "../../../src/management/node/monitor.ts";
import { waitFor } from "../../support/wait-for.ts";
import { startPluginBroker } from "../plugins/plugin-broker.ts";

test("samples have rates, and no more of them are kept than fit into fifteen minutes", async (t) => {
  const metrics = new Metrics();
  const monitor = new Monitor(metrics);
  t.after(() => monitor.stop());
  metrics.messagesReceived[1] = 1_000_000;
  monitor.start(2);
  const [first] = monitor.after(0);
  // What was counted before the start is no rate.
  assert.equal(first?.received_msg_rate, 0);
  assert.equal(first?.backlog_messages, null);
  metrics.connections = 3;
  metrics.sessions = 4;
  metrics.messagesReceived[2] += 500;
  const busy = await waitFor(() => monitor.after(0).find((sample) => sample.received_msg_rate > 0), {
    what: "a sample with messages",
  });
  assert.deepEqual([busy.live_connections, busy.connections, busy.sent_msg_rate], [3, 4, 0]);
  await waitFor(() => monitor.after(0)[0] !== first, { what: "a full ring" });
  assert.equal(monitor.after(0).length, 300);
  const last = monitor.after(0).at(-1);
  assert.ok(last);
  monitor.stop();
  const newer = monitor.after(last.time_stamp);
  assert.ok(newer.every((sample) => sample.time_stamp > last.time_stamp));
});

test("it is told over HTTP, and only what is new", async (t) => {
  const broker = await startPluginBroker(t);
  const { status, body } = await broker.ask({ path: "/monitor" });
  const [sample, ...more] = body as { time_stamp: number; connections: number }[];
  assert.deepEqual([status, sample?.connections, more], [200, 0, []]);
  const none = await broker.ask({ path: `/monitor?after=${sample?.time_stamp}` });
  assert.deepEqual(none.body, []);
  assert.equal((await broker.ask({ path: "/monitor?after=-1" })).status, 400);
  assert.equal((await broker.ask({ path: "/monitor", credentials: "" })).status, 401);
});
