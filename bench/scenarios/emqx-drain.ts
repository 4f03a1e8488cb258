// emqx-drain: 100,000 stored messages go through the link to one subscriber in EMQX, with EMQX's limits as shipped.

import { mebibytes, whole } from "../format.ts";
import { figureRow } from "../rows.ts";
import { middle, rate } from "../runs.ts";
import { type Bench, PAYLOAD_BYTES, type Report, type Row, type Scenario } from "../scenario.ts";
import { MESSAGES } from "./drain.ts";
import { SQLITE } from "./emqx-publish.ts";

const NAME = "emqx-drain";
const TOPIC = `bench/${NAME}`;
const PUBLISHERS = 50;
/** Growth of either side that is aimed at, in bytes. */
const REACH_GROWTH = 64 * 1024 * 1024;

interface Run {
  readonly messages: number;
  readonly seconds: number;
  /** The most that waited in the client's mailbox. */
  readonly mailbox: number;
  /** Growth of their memory, in bytes. */
  readonly engine: number;
  readonly emqx: number;
}

async function run(bench: Bench): Promise<Report> {
  if (bench.erlangMissing !== undefined) return { rows: [], notes: [`${NAME}: ${bench.erlangMissing}`] };
  const runs: Run[] = [];
  for (let round = 0; round < bench.rounds; round++) runs.push(await drain(bench));
  const growths = (of: "engine" | "emqx"): string => runs.map((run) => mebibytes(run[of])).join(", ");
  return {
    rows: [
      figureRow(NAME, "messages/s", whole, { measured: middle(runs, rate) }),
      growthRow("memory growth of the engine", runs, "engine"),
      growthRow("memory growth of EMQX's side", runs, "emqx"),
    ],
    notes: [
      `${NAME}: ${runs.map((run) => whole(rate(run))).join(", ")} messages/s; growth of the engine ${growths("engine")}, ` +
        `of EMQX's side ${growths("emqx")}; at most ${Math.max(...runs.map(({ mailbox }) => mailbox))} messages in the client's mailbox`,
    ],
  };
}

/** The largest growth counts. */
function growthRow(figure: string, runs: readonly Run[], of: "engine" | "emqx"): Row {
  const largest = Math.max(...runs.map((run) => run[of]));
  const reach = `< ${mebibytes(REACH_GROWTH)}: ${largest < REACH_GROWTH ? "yes" : "no"}`;
  return figureRow(NAME, figure, mebibytes, { measured: largest }, { reach });
}

async function drain(bench: Bench): Promise<Run> {
  const engine = await bench.startEngine();
  const load = await bench.startEmqx(engine, SQLITE);
  await load.publishCount(PUBLISHERS, TOPIC, PAYLOAD_BYTES, MESSAGES);
  const before = { engine: engine.watch.memory, emqx: load.watch.memory };
  engine.watch.begin();
  load.watch.begin();
  const { seconds, missing, repeated, mailbox } = await load.receive(TOPIC, MESSAGES);
  const growth = { engine: engine.watch.peak - before.engine, emqx: load.watch.peak - before.emqx };
  if (missing + repeated > 0) throw new Error(`${missing} messages were passed over, ${repeated} came again`);
  await load.stop();
  await engine.stop();
  return { messages: MESSAGES, seconds, mailbox, ...growth };
}

export const emqxDrain: Scenario = { name: NAME, run };
