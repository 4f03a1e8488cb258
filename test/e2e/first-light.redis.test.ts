// The main job on Redis, in every set-up.

import { after, before, describe } from "node:test";
import { type RunningBroker, startBrokerWith } from "../support/omp.ts";
import { redisConfiguration, redisSetups, redisSkip } from "../support/redis.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { firstLight } from "./first-light.ts";

for (const [name, start] of Object.entries(redisSetups)) {
  describe(`Redis, ${name}`, { skip: redisSkip(name as keyof typeof redisSetups) }, () => {
    const scope = inReverse({ after });
    let broker: RunningBroker;
    before(async () => {
      const { place } = await start(scope);
      broker = await startBrokerWith(scope, redisConfiguration(place));
    });
    firstLight(name, { broker: async () => broker, isShared: true });
  });
}
