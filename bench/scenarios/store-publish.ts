// store-publish: 50 publishers, window 32, QoS 1, 128 bytes, a topic each, nobody subscribed.

import type { Bench, Report, Scenario } from "../scenario.ts";
import { measureBesideRawStore } from "./beside-raw-store.ts";

function run(bench: Bench): Promise<Report> {
  return measureBesideRawStore(bench, {
    scenario: "store-publish",
    publishers: 50,
    topic: "bench/store-publish",
    job: (common) => ({ kind: "publishFor", ...common }),
    remove: false,
    latency: "PUBACK",
    aim: 0.6,
  });
}

export const storePublish: Scenario = { name: "store-publish", run };
