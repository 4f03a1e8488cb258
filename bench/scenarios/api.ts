// api: the load of store-publish, while GET /plugins is asked ten times a second, and without that.

import { Agent, get } from "node:http";
import { milliseconds, percent, whole } from "../format.ts";
import { Latencies } from "../load/latencies.ts";
import { figureRow } from "../rows.ts";
import { allRates, busy, middle, middleRate, type OwnRun, requireOrder, runOnBroker } from "../runs.ts";
import { type Bench, PAYLOAD_BYTES, type Report, type Scenario } from "../scenario.ts";

const API_KEY = "key:secret";
/** Between two questions, in ms. */
const INTERVAL = 100;
/** Neither messages nor answers count in the first ms: V8 has not compiled yet what answers them. */
const WARM_UP = 1_500;
/** What is aimed at: the p99 of an answer in ms, and how much of the load may be lost to the questions. */
const MAX_P99 = 5;
const MAX_LOSS = 0.1;

async function run(bench: Bench): Promise<Report> {
  const polled: OwnRun[] = [];
  const alone: OwnRun[] = [];
  const answers = new Latencies();
  for (let round = 0; round < bench.rounds; round++) {
    polled.push(await publish(bench, answers));
    alone.push(await publish(bench));
  }
  const p99 = answers.percentile(0.99);
  const loss = 1 - middleRate(polled) / middleRate(alone);
  return {
    rows: [
      figureRow("api", "GET /plugins p50", milliseconds, { measured: answers.percentile(0.5) }),
      figureRow(
        "api",
        "GET /plugins p99",
        milliseconds,
        { measured: p99 },
        {
          reach: `< ${MAX_P99} ms: ${p99 < MAX_P99 ? "yes" : "no"}`,
        },
      ),
      figureRow(
        "api",
        "messages/s meanwhile",
        whole,
        { measured: middleRate(polled) },
        {
          ratio: `${percent(1 - loss)} of ${whole(middleRate(alone))}`,
          reach: `loss < ${percent(MAX_LOSS)}: ${loss < MAX_LOSS ? "yes" : "no"}`,
        },
      ),
    ],
    notes: [
      `api: ${answers.count} answers; rounds ${allRates(polled)}, without questions ${allRates(alone)}; ${busy(polled)}; ` +
        `PUBACK p99 ${milliseconds(middle(polled, ({ result }) => result.p99))}, without questions ${milliseconds(middle(alone, ({ result }) => result.p99))}`,
    ],
  };
}

async function publish(bench: Bench, answers?: Latencies): Promise<OwnRun> {
  const run = await runOnBroker(
    bench,
    { plugin: true, apiKey: API_KEY },
    (address) => ({
      kind: "publishFor",
      address,
      publishers: 50,
      window: 32,
      topic: "bench/api",
      topicPerPublisher: true,
      payloadBytes: PAYLOAD_BYTES,
      warmUp: WARM_UP,
      duration: bench.duration,
    }),
    ({ apiUrl }) => (answers === undefined ? undefined : poll(`${apiUrl}/plugins`, answers)),
  );
  requireOrder(run.result);
  return run;
}

/** Asks at fixed times, whether or not the last answer has come: who waits with the next question measures too little. */
function poll(url: string, answers: Latencies): AsyncDisposable {
  const countsFrom = performance.now() + WARM_UP;
  const agent = new Agent({ keepAlive: true });
  const underWay = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const asked = ask(url, agent, (since, until) => {
      if (since >= countsFrom) answers.record(until - since);
    });
    underWay.add(asked);
    asked.finally(() => underWay.delete(asked));
  }, INTERVAL);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await Promise.all(underWay);
      agent.destroy();
    },
  };
}

function ask(url: string, agent: Agent, answered: (since: number, until: number) => void): Promise<void> {
  const since = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent, auth: API_KEY }, (response) => {
      response.resume();
      response.on("end", () => {
        if (response.statusCode !== 200) reject(new Error(`${url} answers ${response.statusCode}`));
        answered(since, performance.now());
        resolve();
      });
    }).on("error", reject);
  });
}

export const api: Scenario = { name: "api", run };
