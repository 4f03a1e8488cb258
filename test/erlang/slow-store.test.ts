// A store that hangs behind EMQX while clients catch up: publishers are refused in time, what is not stored goes on, and all heals.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RedisStore } from "../../src/store/redis/redis-store.ts";
import { SECRET } from "../emqx/link-peer.ts";
import { startLinkedPlugin } from "../emqx/linked-plugin.ts";
import { silentLogger } from "../store/sample-messages.ts";
import { redisSkip, startSingle } from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { connectTo, erlangMissing, startErlangNode } from "./erlang-node.ts";

const skip = erlangMissing ?? redisSkip("single");
/** Of the store, in ms. */
const TIMEOUT = 500;
/** More than a busy machine needs, in ms. */
const PATIENCE = 60_000;

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`a store that hangs behind EMQX ${release}`, { skip }, () => {
    test("publishers are refused, a client that catches up waits, and nothing acknowledged is lost", async (t) => {
      const { place, servers } = await startSingle(t);
      const redis = servers[0] as RedisServer;
      const options = { ...place, poolSize: 4, messageTtl: 0, timeout: TIMEOUT, logger: silentLogger };
      const engine = await startLinkedPlugin(t, { otherStore: new RedisStore(options), topics: ["t/#"] });
      const configuration = connectTo(engine.port, SECRET.toString());
      const node = await startErlangNode(t, ebin, { configuration, release, retryDelay: 20 });
      await node.start();
      await node.isWell();
      const publish = (payload: string, topic = "t/1"): Promise<string> =>
        node.call(`omp_client:publish(<<"p">>, <<"${topic}">>, 1, <<"${payload}">>)`);
      const seen = async (): Promise<string[]> => {
        const all = await node.call('omp_client:everything(<<"a">>)');
        return [...all.matchAll(/<<"([^"]*)">>/g)].map(([, payload = ""]) => payload);
      };
      await node.call('omp_client:connect(<<"p">>, #{})');
      const stored = ["1", "2", "3"];
      for (const payload of stored) assert.equal(await publish(payload), "{puback,16}");

      redis.pause();
      await node.call('omp_client:connect(<<"a">>, #{})');
      for (const filter of ["t/#", "other"]) {
        await node.call(`omp_client:subscribe(<<"a">>, <<"${filter}">>, #{qos => 1})`);
      }
      const begun = performance.now();
      assert.equal(await publish("refused"), "{puback,131}");
      assert.ok(performance.now() - begun < TIMEOUT + 5000, "within the timeout, and what a busy machine needs");
      assert.equal(await publish("not stored", "other"), "{puback,0}");
      await waitFor(async () => (await seen()).includes("not stored"), { what: "the message that is not stored" });
      assert.deepEqual(await seen(), ["not stored"], "nothing of the subscription that catches up");

      redis.continue();
      await waitFor(
        async () => {
          const outcome = await publish("after");
          return outcome === "{puback,0}" || outcome === "{puback,16}";
        },
        { what: "a message is stored again", timeout: PATIENCE },
      );
      stored.push("after");
      const missing = async (): Promise<string[]> => {
        const all = await seen();
        return stored.filter((payload) => !all.includes(payload));
      };
      await waitFor(async () => (await missing()).length === 0, {
        what: "all that was acknowledged",
        timeout: PATIENCE,
      });
      const backlog = (await seen()).filter((payload) => stored.slice(0, 3).includes(payload));
      assert.deepEqual(backlog, stored.slice(0, 3), "in order, each once");
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty", timeout: PATIENCE });
      assert.equal(await node.call("emqx_hooks:crashes()"), "0");
    });
  });
}
