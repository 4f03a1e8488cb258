// The metrics of what is stored, of a broker with its plugin.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import { mariadbSkip, mysqlConfiguration, STORE_RIGHTS, startPlain } from "../support/mariadb.ts";
import { redisConfiguration, redisSetups, redisSkip } from "../support/redis.ts";
import { waitFor } from "../support/wait-for.ts";
import { startClientBroker } from "./clients/client-broker.ts";

async function showsBacklog(t: TestContext, configuration?: string): Promise<void> {
  const builtIn = configuration === undefined ? {} : { builtIn: builtInPlugin(configuration) };
  const { api, url } = await startClientBroker(t, builtIn);
  // 25 topics with one message, of which three have more.
  const topics = [
    ...Array.from({ length: 25 }, (_, at) => `stored/${at}`),
    ...["stored/7", "stored/7", "stored/7", "stored/8", "stored/8", "stored/9"],
  ];
  const before = Date.now();
  await api.post(
    "/publish/bulk",
    topics.map((topic) => ({ topic, payload: "12345", qos: 1 })),
  );
  // The store was asked at the start, and is asked again only after a while.
  const text = await waitFor(
    async () => {
      const scraped = await (await fetch(`${url}/api/v5/prometheus/stats`)).text();
      return /^omp_plugin_backlog_messages 31$/m.test(scraped) ? scraped : undefined;
    },
    { what: "the store's answer", timeout: 60_000, interval: 200 },
  );
  const value = (sample: string) => {
    const line = text.split("\n").find((one) => one.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length));
  };
  assert.equal(value("omp_plugin_backlog_messages"), 31);
  assert.equal(value("omp_plugin_backlog_bytes"), 155);
  const age = value("omp_plugin_backlog_oldest_seconds") ?? -1;
  assert.ok(age >= 0 && age <= (Date.now() - before) / 1000, `${age} s`);
  assert.equal(value('omp_plugin_topic_messages{topic="stored/7"}'), 4);
  assert.equal(value('omp_plugin_topic_bytes{topic="stored/7"}'), 20);
  assert.equal(value('omp_plugin_topic_messages{topic="stored/9"}'), 2);
  assert.equal(text.match(/^omp_plugin_topic_messages\{/gm)?.length, 21);
  assert.equal(value('omp_plugin_topic_messages{topic="other"}'), 5);
  assert.equal(value("omp_plugin_save_seconds_count"), 31);
  assert.ok((value("omp_plugin_save_seconds_sum") ?? 0) > 0);
}

test("what clients have not fetched shows by its largest topics: SQLite", (t) => showsBacklog(t));

test("what clients have not fetched shows by its largest topics: Redis", { skip: redisSkip("single") }, async (t) => {
  const { place } = await redisSetups.single(t);
  await showsBacklog(t, redisConfiguration(place));
});

test("what clients have not fetched shows by its largest topics: MariaDB", {
  skip: mariadbSkip("plain"),
}, async (t) => {
  const { place } = await startPlain(t, { schema: "", tableRights: "", databaseRights: `CREATE, ${STORE_RIGHTS}` });
  await showsBacklog(t, mysqlConfiguration(place, "init_default_schema = true"));
});
