// live: ten publishers and a subscriber, all online, on stored topics. A publisher has at most 32 messages under way, from
// sending until the subscriber has it, so that what is measured is neither a growing queue nor a loss.

import type { Bench, Report, Scenario } from "../scenario.ts";
import { measureBesideRawStore } from "./beside-raw-store.ts";

function run(bench: Bench): Promise<Report> {
  return measureBesideRawStore(bench, {
    scenario: "live",
    publishers: 10,
    topic: "bench/live",
    job: (common) => ({ kind: "live", topicFilters: [`${common.topic}/#`], ...common }),
    remove: true,
    latency: "end to end",
  });
}

export const live: Scenario = { name: "live", run };
