// mosquitto: QoS 1 publishes from 50 clients at window 32, on the broker without the plugin and on Debian's mosquitto in
// turns. Once with nobody subscribed, and once with a subscriber for each topic, where a message is under way until both
// its PUBACK and the message itself have come.

import type { Tool } from "../../test/support/debian-tool.ts";
import { milliseconds, whole } from "../format.ts";
import type { Address } from "../load/connection.ts";
import type { Job } from "../load/jobs.ts";
import { atLeast, figureRow } from "../rows.ts";
import { allRates, busy, middle, middleRate, type Run, rate, requireOrder, runJob, runOnBroker } from "../runs.ts";
import { type Bench, type MeasuredBroker, PAYLOAD_BYTES, type Report, type Row, type Scenario } from "../scenario.ts";

const PUBLISHERS = 50;
const WINDOW = 32;
const WARM_UP = 1_500;
const TOPIC = "bench/mosquitto";
/** Part of mosquitto's messages per second that is aimed at. */
const REACH = 0.5;

type Load = (address: Address) => Job;

async function run(bench: Bench): Promise<Report> {
  const { tool, missing } = await bench.findMosquitto();
  if (tool === undefined) {
    return {
      rows: [{ scenario: "mosquitto", figure: "messages/s", reach: "not run" }],
      notes: [`mosquitto: not run: ${missing}`],
    };
  }
  const topics = Array.from({ length: PUBLISHERS }, (_, number) => `${TOPIC}/${number}`);
  const common = {
    publishers: PUBLISHERS,
    window: WINDOW,
    topic: TOPIC,
    topicPerPublisher: true,
    payloadBytes: PAYLOAD_BYTES,
    warmUp: WARM_UP,
    duration: bench.duration,
  };
  const publish: Load = (address) => ({ kind: "publishFor", address, ...common });
  const publishAndReceive: Load = (address) => ({ kind: "live", address, topicFilters: topics, ...common });
  const alone = await compare(bench, tool, publish, { what: "", latency: "PUBACK" });
  const received = await compare(bench, tool, publishAndReceive, {
    what: ", a subscriber each",
    latency: "end to end",
  });
  const sink = await runOnce(bench, await bench.startSink(), publish);
  return {
    rows: [...alone.rows, ...received.rows],
    notes: [
      ...alone.notes,
      ...received.notes,
      `mosquitto: ${whole(rate(sink.result))} messages/s from the same load generator to a sink that only acknowledges; ` +
        busy([sink], "the sink"),
    ],
  };
}

/** Both brokers in turns. */
async function compare(
  bench: Bench,
  tool: Tool,
  load: Load,
  { what, latency }: { what: string; latency: string },
): Promise<Report> {
  const ours: Run[] = [];
  const theirs: Run[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    ours.push(await runOnBroker(bench, { plugin: false }, load));
    theirs.push(await runOnce(bench, await bench.startMosquitto(tool), load));
  }
  for (const { result } of [...ours, ...theirs]) requireOrder(result);
  const figures = { alone: middleRate(ours), mosquitto: middleRate(theirs) };
  const latencyRow = (name: "p50" | "p99"): Row => {
    const of = (runs: readonly Run[]): number => middle(runs, ({ result }) => result[name]);
    return figureRow("mosquitto", `${latency} ${name}`, milliseconds, { alone: of(ours), mosquitto: of(theirs) });
  };
  const judgement = atLeast(figures.alone / figures.mosquitto, REACH);
  return {
    rows: [
      figureRow("mosquitto", `messages/s${what}`, whole, figures, judgement),
      latencyRow("p50"),
      latencyRow("p99"),
    ],
    notes: [
      `mosquitto${what}: rounds ${allRates(ours)}, beside ${allRates(theirs)}; ${busy(ours)}; ${busy(theirs, "mosquitto")}`,
    ],
  };
}

async function runOnce(bench: Bench, broker: MeasuredBroker, load: Load): Promise<Run> {
  const run = await runJob(bench, broker, load);
  await broker.stop();
  return run;
}

export const mosquitto: Scenario = { name: "mosquitto", run };
