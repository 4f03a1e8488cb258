// The conformance suite, run against Redis in every set-up.

import { after, before, describe } from "node:test";
import { type RedisSetup, redisSetups, redisSkip } from "../support/redis.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { type StoreTraits, storeConformance } from "./conformance.ts";
import { startStore } from "./redis-stores.ts";

/** The format of EMQX' plugin has no room for these. */
const TRAITS: StoreTraits = {
  keepsPacketIds: false,
  keepsSubscriptionOptions: false,
  keepsLastSeen: false,
  listsClients: false,
};

for (const [name, start] of Object.entries(redisSetups)) {
  describe(`RedisStore, ${name}`, { skip: redisSkip(name as keyof typeof redisSetups) }, () => {
    const scope = inReverse({ after });
    let setup: RedisSetup;
    before(async () => {
      setup = await start(scope);
    });
    storeConformance(name, TRAITS, async (test, settings) => {
      await setup.flush();
      return (await startStore(test, setup.place, settings)).store;
    });
  });
}
