// The HTTP server: metrics as they are counted, limits on what clients do, and the end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Broker } from "../../src/broker/broker.ts";
import { ListenError } from "../../src/broker/errors.ts";
import { Accounts } from "../../src/management/accounts/accounts.ts";
import { ManagementServer } from "../../src/management/management-server.ts";
import type { AnyMetric } from "../../src/management/metric-definition.ts";
import {
  defaultManagementOptions,
  type ManagementListener,
  type ManagementOptions,
} from "../../src/management/options.ts";
import { AllowedPackages } from "../../src/management/plugins/allowed-packages.ts";
import { PluginManager } from "../../src/management/plugins/plugin-manager.ts";
import { METRICS_PATH } from "../../src/management/prometheus.ts";
import type { Logger } from "../../src/mqtt/logger.ts";
import { Counters } from "../../src/plugin/counters.ts";
import type { StoredSummary } from "../../src/plugin/stored-summary.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { allMetrics } from "./all-metrics.ts";

async function startServer(
  t: TestContext,
  { maxConnections = 512, port: wanted = 0, ...options }: Partial<ManagementOptions & ManagementListener> = {},
) {
  const log: LogEntry[] = [];
  const logger = loggerInto(log);
  const broker = new Broker({ options: { port: 0 }, logger });
  const topics = [
    { topic: 'a"\\', messages: 5, bytes: 50 },
    { topic: "other", messages: 3, bytes: 30 },
  ];
  const plugin = {
    counters: new Counters(),
    memory: { claims: 1, owed: 2, removals: 3, unrouted: 4, replays: 5 },
    stored: {
      latest: { messages: 9, bytes: 90, largest: topics, oldest: Date.now() - 60_000 } as StoredSummary | undefined,
      refresh: async () => {},
    },
  };
  const server = new ManagementServer({
    options: {
      ...defaultManagementOptions,
      http: { ...defaultManagementOptions.http, port: wanted, maxConnections },
      ...options,
    },
    accounts: new Accounts({ path: join(temporaryDirectory(t), "accounts.json") }),
    broker,
    ...noPlugins(t, broker, logger),
    logger,
  });
  server.plugin = plugin;
  const { http } = await server.start();
  assert.ok(http);
  const { host, port } = http;
  t.after(() => server.stop());
  return { server, broker, plugin, log, port, url: `http://${host}:${port}` };
}

function noPlugins(t: TestContext, broker: Broker, logger: Logger) {
  const allowed = new AllowedPackages(() => 0);
  const folder = temporaryDirectory(t);
  const dashboard = { webSocketPorts: () => [] };
  return { dashboard, allowed, plugins: new PluginManager({ broker, folder, allowed, logger, changed: () => {} }) };
}

/** The samples of a scrape, by name and labels. */
async function scrape(url: string): Promise<Map<string, number>> {
  const response = await fetch(`${url}${METRICS_PATH}`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

async function openSocket(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

test("a scrape has every metric, with its value at the time", async (t) => {
  const { broker, plugin, url } = await startServer(t);
  const first = await scrape(url);
  const names = new Set([...first.keys()].map((sample) => sample.replace(/\{.*/, "")));
  const expected = Object.values(allMetrics()).flat();
  const expectedNames = expected.flatMap(({ name, kind }) =>
    kind === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  assert.deepEqual([...names].sort(), expectedNames.sort());
  for (const definition of expected) {
    const { name } = definition;
    const isZero = definition.kind !== "histogram" && definition.label === undefined;
    if (isZero && !/^(?:process|nodejs)_|^omp_plugin_/.test(name)) assert.equal(first.get(name), 0, name);
  }
  broker.metrics.messagesReceived[1] += 3;
  broker.metrics.dropped.queueFull += 2;
  broker.metrics.connections = 4;
  plugin.counters.refused.limit += 5;
  const second = await scrape(url);
  broker.metrics.connections = 1;
  const third = await scrape(url);
  const chosen = [
    "emqx_messages_qos1_received",
    "emqx_messages_received",
    "emqx_delivery_dropped",
    'omp_deliveries_dropped_total{reason="queue_full"}',
    'omp_plugin_refused_total{reason="limit"}',
    "omp_plugin_owed",
    "emqx_live_connections_count",
    "emqx_live_connections_max",
  ];
  assert.deepEqual(
    chosen.map((name) => second.get(name)),
    [3, 3, 2, 2, 5, 2, 4, 4],
  );
  assert.deepEqual(
    chosen.map((name) => third.get(name)),
    [3, 3, 2, 2, 5, 2, 1, 4],
  );
  assert.ok((third.get("process_resident_memory_bytes") ?? 0) > 1e7);
  assert.ok((third.get("process_cpu_seconds_total") ?? 0) > 0);
});

test("the store's time is told in buckets, and what is stored by topic as far as it is known", async (t) => {
  const { plugin, url } = await startServer(t);
  for (const seconds of [0.0005, 0.0006, 0.3, 60]) plugin.counters.saveTime.observe(seconds);
  const samples = await scrape(url);
  const bucket = (le: string) => samples.get(`omp_plugin_save_seconds_bucket{le="${le}"}`);
  assert.deepEqual(["0.0005", "0.001", "0.25", "0.5", "10", "+Inf"].map(bucket), [1, 2, 2, 3, 3, 4]);
  assert.equal(samples.get("omp_plugin_save_seconds_count"), 4);
  assert.ok(Math.abs((samples.get("omp_plugin_save_seconds_sum") ?? 0) - 60.3011) < 1e-9);
  assert.deepEqual([samples.get("omp_plugin_backlog_messages"), samples.get("omp_plugin_backlog_bytes")], [9, 90]);
  assert.ok((samples.get("omp_plugin_backlog_oldest_seconds") ?? 0) >= 60);
  const topic = (of: string) => [...samples].filter(([name]) => name.startsWith(`omp_plugin_topic_${of}{`));
  // A topic of the name that stands for the others is one of them.
  assert.deepEqual(topic("messages"), [
    ['omp_plugin_topic_messages{topic="a\\"\\\\"}', 5],
    ['omp_plugin_topic_messages{topic="other"}', 4],
  ]);
  assert.deepEqual(
    topic("bytes").map(([, value]) => value),
    [50, 40],
  );
  plugin.stored.latest = undefined;
  const unknown = [...(await scrape(url)).keys()].filter((name) => /^omp_plugin_(?:backlog|topic)_/.test(name));
  assert.deepEqual(unknown, [], "nothing is told of what is not known");
});

test("a held-up event loop shows in its delay", async (t) => {
  const { url } = await startServer(t);
  // The measurement has begun when it has seen one turn.
  await waitFor(async () => ((await scrape(url)).get("nodejs_eventloop_lag_max_seconds") ?? 0) > 0, {
    what: "a delay",
  });
  const end = performance.now() + 150;
  while (performance.now() < end);
  const lag = await waitFor(
    async () => {
      const max = (await scrape(url)).get("nodejs_eventloop_lag_max_seconds") ?? 0;
      return max > 0.1 ? max : undefined;
    },
    { what: "the delay of 150 ms" },
  );
  assert.ok(lag < 10, `${lag} s`);
});

test("docs/metrics.md lists every metric with its type, and no other", () => {
  const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
  for (const [part, definitions] of Object.entries(allMetrics())) {
    const [, section = ""] = page.split(`\n## The ${part}\n`);
    const [table = ""] = section.split("\n## ");
    const rows = table.split("\n").filter((line) => line.startsWith("| `"));
    const expected = definitions.map((definition) => {
      const { name, kind, help } = definition;
      return `| \`${name}\` | ${kind} | ${help}${labelOf(definition)} |`;
    });
    assert.deepEqual(rows, expected, part);
  }
});

/** The label of a metric, and its values where there are always the same ones. */
function labelOf(definition: AnyMetric): string {
  if (definition.kind === "histogram" || definition.label === undefined) return "";
  const values = Object.keys(definition.read() ?? {}).map((value) => `\`${value}\``);
  return ` (\`${definition.label}\`${values.length === 0 ? "" : `: ${values.join(", ")}`})`;
}

test("any other path is 404, a bad or large body 4xx, each as EMQX's API tells it", async (t) => {
  const { url, log } = await startServer(t);
  const post = { method: "POST", headers: { "content-type": "application/json" } };
  const cases: readonly [status: number, code: string, path: string, request: RequestInit][] = [
    [404, "NOT_FOUND", "/", {}],
    [404, "NOT_FOUND", `${METRICS_PATH}/x`, {}],
    [405, "METHOD_NOT_ALLOWED", METRICS_PATH, { method: "DELETE" }],
    [400, "BAD_REQUEST", "/api/v5/login", { ...post, body: "{" }],
    [413, "BAD_REQUEST", "/api/v5/login", { ...post, body: JSON.stringify("x".repeat(4096)) }],
    // What nobody wants is not looked at.
    [404, "NOT_FOUND", "/x", { ...post, body: "{" }],
    [404, "NOT_FOUND", "/x", { ...post, body: JSON.stringify("x".repeat(1024 * 1024)) }],
  ];
  for (const [status, code, path, request] of cases) {
    const response = await fetch(`${url}${path}`, request);
    const body = (await response.json()) as { code: string; message: string };
    assert.deepEqual([response.status, body.code, typeof body.message], [status, code, "string"], path);
  }
  assert.equal((await fetch(`${url}/x`, { headers: { "x-large": "x".repeat(20_000) } })).status, 431);
  assert.deepEqual(
    log.filter(({ level }) => level === "error"),
    [],
  );
});

test("what fails inside is 500, and logged", async (t) => {
  const { broker, url, log } = await startServer(t);
  t.mock.method(broker.metrics, "noteHighest", () => {
    throw new Error("a mistake");
  });
  const response = await fetch(`${url}${METRICS_PATH}`);
  assert.deepEqual([response.status, ((await response.json()) as { code: string }).code], [500, "INTERNAL_ERROR"]);
  const errors = log.filter(({ level }) => level === "error");
  assert.deepEqual(
    errors.map(({ fields }) => (fields.err as Error).message),
    ["a mistake"],
  );
});

test("more connections than allowed are closed at once, and that is logged once", async (t) => {
  const { port, url, log } = await startServer(t, { maxConnections: 2 });
  const open = [await openSocket(t, port), await openSocket(t, port)];
  for (let more = 0; more < 3; more++) {
    const socket = await openSocket(t, port);
    await within(once(socket.resume(), "close"), { what: "the end of a connection too many" });
  }
  assert.deepEqual(
    log.map(({ level, fields }) => [level, fields.maxConnections]),
    [["warn", 2]],
  );
  for (const socket of open) socket.destroy();
  await waitFor(
    () =>
      scrape(url).then(
        () => true,
        () => false,
      ),
    { what: "room again" },
  );
});

test("a request that is not complete in time is answered 408 and closed", async (t) => {
  const { port } = await startServer(t, { requestTimeout: 0.1 });
  const socket = await openSocket(t, port);
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString();
  });
  socket.write(`GET ${METRICS_PATH} HTTP/1.1\r\nHost: x\r\n`);
  await within(once(socket, "close"), { what: "the end" });
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test("a client that was refused and does not close its side keeps no place", async (t) => {
  const { port, url } = await startServer(t, { requestTimeout: 0.1, maxConnections: 1 });
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.write(`GET ${METRICS_PATH} HTTP/1.1\r\n`);
  await within(once(socket.resume(), "end"), { what: "the refusal" });
  const scraped = () =>
    scrape(url).then(
      () => true,
      () => false,
    );
  await waitFor(scraped, { what: "the place" });
  assert.equal(socket.writable, true);
});

test("a port in use is a ListenError", async (t) => {
  const { port } = await startServer(t);
  await assert.rejects(startServer(t, { port }), (error: unknown) => {
    assert.ok(error instanceof ListenError);
    assert.deepEqual([error.listener, error.port], ["dashboard.listeners.http", port]);
    return true;
  });
});

test("stopping closes connections that are kept alive, and may come without a start", async (t) => {
  const { server, url } = await startServer(t);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const [response] = await once(get(`${url}${METRICS_PATH}`, { agent }), "response");
  response.resume();
  await once(response, "end");
  const [[socket] = []] = Object.values(agent.freeSockets);
  assert.ok(socket !== undefined, "the connection is kept");
  const closed = once(socket, "close");
  await within(server.stop(), { what: "the stop", timeout: 2000 });
  await within(closed, { what: "the end of the connection" });
  await assert.rejects(fetch(`${url}${METRICS_PATH}`));
  const logger = loggerInto([]);
  const accounts = new Accounts({ path: join(temporaryDirectory(t), "accounts.json") });
  const broker = new Broker({ options: { port: 0 }, logger });
  const access = noPlugins(t, broker, logger);
  await new ManagementServer({ options: defaultManagementOptions, broker, accounts, ...access, logger }).stop();
});
