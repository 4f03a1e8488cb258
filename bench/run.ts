// Measures speed and memory beside their limits, and prints a table. It is no test, and fails nothing.
//
//   node bench/run.ts [--markdown] [--rounds N] [--seconds N] [--profile DIR] [SCENARIO ...]

import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { erlangMissing } from "../test/support/erlang.ts";
import { startBrokerProcess } from "./broker-process.ts";
import { Cleanup } from "./cleanup.ts";
import { compileLoad, startEmqxLoad } from "./emqx-load.ts";
import { startEngineProcess } from "./engine-process.ts";
import { markdownTable, plainTable } from "./format.ts";
import { LoadGenerator } from "./load-generator.ts";
import { describeMachine } from "./machine.ts";
import { mariadbDatabase } from "./mariadb-database.ts";
import { findMosquitto, startMosquitto } from "./mosquitto-process.ts";
import { redisDatabase } from "./redis-database.ts";
import type { Bench, Report, Scenario } from "./scenario.ts";
import { api } from "./scenarios/api.ts";
import { drain } from "./scenarios/drain.ts";
import { emqxDrain } from "./scenarios/emqx-drain.ts";
import { emqxPublish } from "./scenarios/emqx-publish.ts";
import { idleMemory } from "./scenarios/idle-memory.ts";
import { live } from "./scenarios/live.ts";
import { mosquitto } from "./scenarios/mosquitto.ts";
import { mysqlDrain } from "./scenarios/mysql-drain.ts";
import { mysqlPublish } from "./scenarios/mysql-publish.ts";
import { redisDrain } from "./scenarios/redis-drain.ts";
import { redisPublish } from "./scenarios/redis-publish.ts";
import { sequential } from "./scenarios/sequential.ts";
import { storePublish } from "./scenarios/store-publish.ts";
import { startSink } from "./sink-process.ts";

const SCENARIOS: readonly Scenario[] = [
  storePublish,
  sequential,
  api,
  drain,
  live,
  redisPublish,
  redisDrain,
  mysqlPublish,
  mysqlDrain,
  mosquitto,
  emqxPublish,
  emqxDrain,
  idleMemory,
];
const HELP = `Measures speed and memory beside their limits, and prints a table.

Usage: make bench ARGS="[OPTION ...] [SCENARIO ...]"

  --markdown     print the table for docs/benchmarks.md
  --rounds N     measure everything so often; medians count (default 3)
  --seconds N    how long a stretch is measured (default 5)
  --profile DIR  write CPU profiles of the broker with the plugin there

Scenarios (default: all): ${SCENARIOS.map(({ name }) => name).join(", ")}
`;

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
/** On the disk of the project: /tmp may be in memory, where a commit costs nothing. */
const DATA = resolve(root, "_build");

process.chdir(root);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    markdown: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const unknown = positionals.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (values.help || unknown.length > 0 || !(Number(values.rounds) >= 1) || !(Number(values.seconds) > 0)) {
  console.log(unknown.length > 0 ? `There is no scenario ${unknown.join(", ")}.\n\n${HELP}` : HELP);
  process.exit(values.help ? 0 : 2);
}
await main(SCENARIOS.filter(({ name }) => positionals.length === 0 || positionals.includes(name)));

async function main(scenarios: readonly Scenario[]): Promise<void> {
  mkdirSync(DATA, { recursive: true });
  const profiles = values.profile === undefined ? undefined : resolve(values.profile);
  const load = new LoadGenerator();
  const reports: Report[] = [];
  try {
    for (const scenario of scenarios) {
      console.error(`measuring ${scenario.name} …`);
      reports.push(await runScenario(scenario, load, profiles));
    }
  } finally {
    await load.stop();
  }
  print(reports);
}

async function runScenario(scenario: Scenario, load: LoadGenerator, profiles: string | undefined): Promise<Report> {
  const cleanup = new Cleanup();
  let ebin: Promise<string> | undefined;
  const bench: Bench = {
    load,
    rounds: Math.floor(Number(values.rounds)),
    duration: Number(values.seconds) * 1000,
    directory: () => cleanup.directory(DATA),
    startBroker: (options) => startBrokerProcess(cleanup, { ...options, profiles }),
    erlangMissing,
    startEmqx: async (engine, config) => {
      ebin ??= compileLoad(cleanup);
      return startEmqxLoad(cleanup, await ebin, engine, config);
    },
    startEngine: () => startEngineProcess(cleanup, cleanup.directory(DATA), profiles),
    redis: redisDatabase(cleanup, DATA),
    mariadb: mariadbDatabase(cleanup),
    findMosquitto,
    startMosquitto: (tool) => startMosquitto(cleanup, tool, cleanup.directory(DATA)),
    startSink: () => startSink(cleanup),
  };
  try {
    return await scenario.run(bench);
  } finally {
    await cleanup.run();
  }
}

function print(reports: readonly Report[]): void {
  const rows = reports.flatMap((report) => report.rows);
  const notes = reports.flatMap((report) => report.notes);
  const machine = describeMachine(DATA);
  if (values.markdown) {
    console.log(["| | |", "|---|---|", ...machine.map(([name, value]) => `| ${name} | ${value} |`)].join("\n"));
    console.log(`\n${markdownTable(rows)}\n`);
    for (const note of notes) console.log(`- ${note}`);
    return;
  }
  console.log(machine.map(([name, value]) => `${name}: ${value}`).join("\n"));
  console.log(`\n${plainTable(rows)}\n`);
  for (const note of notes) console.log(note);
}
