// What redis-drain and mysql-drain share: drain with a database server in place of SQLite, from the broker that has stored the
// messages and from one that was started anew, beside the raw server that reads and removes the same; and from a quarter of the
// messages, to see that the time grows with their number and not with its square.

import { setTimeout as delay } from "node:timers/promises";
import { defaultLimits } from "../../src/plugin/options.ts";
import type { BrokerProcess } from "../broker-process.ts";
import type { Database, DatabaseServer } from "../database.ts";
import { mebibytes, percent, whole } from "../format.ts";
import type { RawResult } from "../raw/jobs.ts";
import { atLeast, figureRow } from "../rows.ts";
import { allRates, busy, middle, middleRate, rate } from "../runs.ts";
import type { Bench, Report } from "../scenario.ts";
import { type Drained, drainStored, fill, growthRow, MESSAGES, SETTLE, TOPIC } from "./drain.ts";
import { onServer } from "./publish-to-database.ts";

/** Part of the raw server that is aimed at. */
const REACH = 0.5;
const FEW = MESSAGES / 4;

export async function drainFromDatabase(bench: Bench, scenario: string, database: Database): Promise<Report> {
  if (database.missing !== undefined) return { rows: [], notes: [`${scenario}: ${database.missing}`] };
  const stored: Drained[] = [];
  const fresh: Drained[] = [];
  const few: Drained[] = [];
  const raw: RawResult[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    fresh.push(await onServer(database, (server) => drainAfterRestart(bench, server)));
    stored.push(await onServer(database, (server) => drainAtOnce(bench, server, MESSAGES)));
    few.push(await onServer(database, (server) => drainAtOnce(bench, server, FEW)));
    raw.push(await onServer(database, (server) => drainRaw(bench, server)));
  }
  const figures = { measured: middleRate(stored), store: middle(raw, rate) };
  const rateOfFew = middleRate(few);
  const growths = (runs: readonly Drained[]): string => runs.map(({ growth }) => mebibytes(growth)).join(", ");
  return {
    rows: [
      figureRow(scenario, "messages/s", whole, figures, atLeast(figures.measured / figures.store, REACH)),
      figureRow(
        scenario,
        `messages/s, ${whole(FEW)} stored`,
        whole,
        { measured: rateOfFew },
        {
          ratio: percent(figures.measured / rateOfFew),
        },
      ),
      growthRow(scenario, "memory growth", stored),
      growthRow(scenario, "memory growth after a restart", fresh),
    ],
    notes: [
      `${scenario}: rounds ${allRates(stored)}; ${middle(stored, ({ batch }) => batch).toFixed(0)} messages removed at once; ` +
        `growth ${growths(stored)}, after a restart ${growths(fresh)}; ${busy(stored)}`,
    ],
  };
}

async function drainAtOnce(bench: Bench, server: DatabaseServer, messages: number): Promise<Drained> {
  const broker = await startBroker(bench, server);
  await fill(bench, broker, messages);
  return drainStored(bench, broker, messages);
}

async function drainAfterRestart(bench: Bench, server: DatabaseServer): Promise<Drained> {
  const filling = await startBroker(bench, server);
  await fill(bench, filling);
  await filling.stop();
  const broker = await startBroker(bench, server);
  await delay(SETTLE);
  return drainStored(bench, broker);
}

async function drainRaw(bench: Bench, server: DatabaseServer): Promise<RawResult> {
  const broker = await startBroker(bench, server);
  await fill(bench, broker);
  await broker.stop();
  return server.drain({ topic: TOPIC, page: defaultLimits.pageMessages });
}

function startBroker(bench: Bench, { store }: DatabaseServer): Promise<BrokerProcess> {
  return bench.startBroker({ dataDirectory: bench.directory(), plugin: true, store });
}
