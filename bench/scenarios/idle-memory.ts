// idle-memory: resident memory of the broker for each connection that is idle, and for each session whose client is away.
//
// It is the difference of two looks at a process at rest, divided by the number of clients between them. Some clients are
// there before the first look, so that code and tables that every broker has do not count. V8 keeps garbage, and pages
// with gaps, until it needs them: so the same is told once more with all garbage collected before each look.

import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { bytes, mebibytes, whole } from "../format.ts";
import type { Figures } from "../rows.ts";
import { figureRow } from "../rows.ts";
import type { Bench, MeasuredBroker, Report, Scenario } from "../scenario.ts";

const CONNECTIONS = 10_000;
const SESSIONS = 100_000;
/** How many of these are there before the first look. */
const WARM_UP = 1_000;
/** File descriptors that a broker and the load generator need for other things. */
const OTHER_DESCRIPTORS = 200;
/** The process is at rest when its memory has changed by no more than this part within `REST_INTERVAL` ms. */
const REST = 0.002;
const REST_INTERVAL = 1_000;
/** After so many intervals it counts as at rest however it changes. */
const MAX_INTERVALS = 30;

/** Resident memory in bytes. */
interface Memory {
  readonly plain: number;
  /** Without garbage; the same where there is none. */
  readonly collected: number;
}

interface Growth {
  readonly before: Memory;
  readonly after: Memory;
  readonly clients: number;
}

type Growths = Readonly<Record<string, Growth>>;

async function run(bench: Bench): Promise<Report> {
  const descriptors = descriptorLimit();
  const connections = Math.min(CONNECTIONS, descriptors - OTHER_DESCRIPTORS);
  if (connections < 2 * WARM_UP) throw new Error(`a process may open only ${descriptors} files: raise \`ulimit -n\``);
  const { tool, missing } = await bench.findMosquitto();
  const starts: Readonly<Record<string, (() => Promise<MeasuredBroker>) | undefined>> = {
    measured: () => bench.startBroker({ dataDirectory: bench.directory(), plugin: true }),
    alone: () => bench.startBroker({ dataDirectory: bench.directory(), plugin: false }),
    mosquitto: tool && (() => bench.startMosquitto(tool)),
  };
  const perConnection: Record<string, Growth> = {};
  const perSession: Record<string, Growth> = {};
  for (const [column, start] of Object.entries(starts)) {
    if (start === undefined) continue;
    perConnection[column] = await connectionGrowth(bench, await start(), connections);
    perSession[column] = await sessionGrowth(bench, await start());
  }
  const scenario = "idle-memory";
  return {
    rows: [
      figureRow(scenario, "per connection", bytes, eachOf(perConnection, "plain")),
      figureRow(scenario, "per connection, garbage collected", bytes, eachOf(perConnection, "collected")),
      figureRow(scenario, "per session", bytes, eachOf(perSession, "plain")),
      figureRow(scenario, "per session, garbage collected", bytes, eachOf(perSession, "collected")),
    ],
    notes: [
      `${scenario}: ${whole(connections)} connections (a process may open ${whole(descriptors)} files), ${whole(SESSIONS)} sessions; ` +
        `resident with connections ${spans(perConnection, "plain")}; with sessions ${spans(perSession, "plain")}; garbage ` +
        `collected ${spans(perConnection, "collected")}; ${spans(perSession, "collected")}`,
      ...(missing === undefined ? [] : [`${scenario}: mosquitto not run: ${missing}`]),
    ],
  };
}

async function connectionGrowth(bench: Bench, broker: MeasuredBroker, connections: number): Promise<Growth> {
  const connect = (clients: number): Promise<unknown> =>
    bench.load.run({ kind: "connectIdle", address: broker.address, clients });
  await connect(WARM_UP);
  const growth = await growthDuring(broker, connections - WARM_UP, connect);
  await bench.load.run({ kind: "disconnectIdle" });
  await broker.stop();
  return growth;
}

async function sessionGrowth(bench: Bench, broker: MeasuredBroker): Promise<Growth> {
  const leave = (sessions: number, prefix: string): Promise<unknown> =>
    bench.load.run({ kind: "leaveSessions", address: broker.address, prefix, sessions });
  await leave(WARM_UP, "bench-warm-up");
  const growth = await growthDuring(broker, SESSIONS - WARM_UP, (sessions) => leave(sessions, "bench-session"));
  await broker.stop();
  return growth;
}

async function growthDuring(
  broker: MeasuredBroker,
  clients: number,
  add: (clients: number) => Promise<unknown>,
): Promise<Growth> {
  const before = await look(broker);
  await add(clients);
  return { before, after: await look(broker), clients };
}

async function look(broker: MeasuredBroker): Promise<Memory> {
  const plain = await memoryAtRest(broker);
  if (broker.collectGarbage === undefined) return { plain, collected: plain };
  broker.collectGarbage();
  return { plain, collected: await memoryAtRest(broker) };
}

async function memoryAtRest({ watch }: MeasuredBroker): Promise<number> {
  let memory = watch.memory;
  for (let interval = 0; interval < MAX_INTERVALS; interval++) {
    await delay(REST_INTERVAL);
    const last = memory;
    memory = watch.memory;
    if (Math.abs(memory - last) <= last * REST) break;
  }
  return memory;
}

function eachOf(growths: Growths, kind: keyof Memory): Figures {
  return Object.fromEntries(
    Object.entries(growths).map(([column, { before, after, clients }]) => [
      column,
      (after[kind] - before[kind]) / clients,
    ]),
  );
}

/** In the order of the columns. */
function spans(growths: Growths, kind: keyof Memory): string {
  return Object.values(growths)
    .map(({ before, after }) => `${mebibytes(before[kind])} → ${mebibytes(after[kind])}`)
    .join(", ");
}

/** How many files this process may open; Node has raised it as far as it may, and child processes inherit it. */
function descriptorLimit(): number {
  const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return Number(limit ?? 1024);
}

export const idleMemory: Scenario = { name: "idle-memory", run };
