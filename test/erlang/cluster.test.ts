// Two nodes of EMQX with the plugin, connected to one engine: sessions that move between them while messages are published on both.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SECRET } from "../emqx/link-peer.ts";
import { startLinkedPlugin } from "../emqx/linked-plugin.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { lastingPort } from "../support/free-port.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { ebin } from "./ebin.ts";
import { connectTo, type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";

const skip = erlangMissing;
/** More than a busy machine needs, in ms. */
const PATIENCE = 60_000;
const LASTING = "#{clean_start => false, expiry_interval => 3600}";

async function start(t: Scope, release: string) {
  const engine = await startLinkedPlugin(t);
  const port = await lastingPort();
  const configuration = connectTo(engine.port, SECRET.toString());
  const nodes: ErlangNode[] = [];
  for (const node of ["first", "second"] as const) {
    const options = { configuration, release, retryDelay: 20, cluster: { node, port } };
    nodes.push(await startErlangNode(t, ebin, options));
    await nodes.at(-1)?.start();
    await nodes.at(-1)?.isWell();
  }
  const [first, second] = nodes as [ErlangNode, ErlangNode];
  return { engine, nodes, first, second };
}

/** Everything that a client was ever sent on the nodes. */
async function payloads(nodes: readonly ErlangNode[], name: string): Promise<string[]> {
  const seen = await Promise.all(nodes.map((node) => node.call(`omp_client:everything(<<"${name}">>)`)));
  return seen.flatMap((text) => [...text.matchAll(/<<"([^"]*)">>/g)].map(([, payload = ""]) => payload));
}

const publish = (payload: string): string =>
  `emqx_broker:publish(emqx_message:make(<<"w">>, 1, <<"t/1">>, <<"${payload}">>))`;

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`two nodes of EMQX ${release}`, { skip }, () => {
    test("what is stored on one is replayed on the other, and what is published there comes live", async (t) => {
      const { engine, nodes, first, second } = await start(t, release);
      for (const payload of ["1", "2", "3"]) await first.call(publish(payload));
      await second.call('omp_client:connect(<<"a">>, #{})');
      await second.call('omp_client:subscribe(<<"a">>, <<"t/#">>, #{qos => 1})');
      await waitFor(async () => (await payloads(nodes, "a")).length === 3, { what: "the backlog", timeout: PATIENCE });
      await first.call(publish("4"));
      await waitFor(async () => (await payloads(nodes, "a")).length === 4, { what: "the live message" });
      assert.deepEqual(await payloads(nodes, "a"), ["1", "2", "3", "4"]);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty" });
    });

    test("a session that moves between them is sent everything", { timeout: 180_000 }, async (t) => {
      const random = seededRandom(`two nodes of EMQX ${release}`);
      const { engine, nodes, first } = await start(t, release);
      await first.call(`omp_client:connect(<<"s">>, ${LASTING})`);
      await first.call('omp_client:subscribe(<<"s">>, <<"t/#">>, #{qos => 1})');
      const published: string[] = [];
      const background: Promise<string>[] = [];
      for (let step = 0; step < 100; step += 1) {
        if (random.chance(0.6)) {
          for (let count = random.below(10); count > 0; count -= 1) {
            published.push(String(published.length + 1));
            background.push(random.pick(nodes).call(publish(published.at(-1) ?? "")));
          }
        } else if (random.chance(0.3)) {
          await random.pick(nodes).call('catch omp_client:disconnect(<<"s">>)');
        } else {
          await random.pick(nodes).call(`omp_client:connect(<<"s">>, ${LASTING})`);
        }
      }
      await random.pick(nodes).call(`omp_client:connect(<<"s">>, ${LASTING})`);
      await Promise.all(background);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty", timeout: PATIENCE });
      const seen = await payloads(nodes, "s");
      assert.deepEqual(
        published.filter((payload) => !seen.includes(payload)),
        [],
      );
      for (const node of nodes) assert.equal(await node.call("emqx_hooks:crashes()"), "0");
      t.diagnostic(`${seen.length} deliveries of ${published.length} messages`);
    });

    test("one node is killed: its clients are served on the other", { timeout: 180_000 }, async (t) => {
      const { engine, nodes, first, second } = await start(t, release);
      await first.call('omp_client:connect(<<"a">>, #{acknowledges => false})');
      await first.call('omp_client:subscribe(<<"a">>, <<"t/#">>, #{qos => 1})');
      await first.gatesAreOpen();
      for (const payload of ["1", "2"]) await second.call(publish(payload));
      await waitFor(async () => (await payloads([first], "a")).length === 2, { what: "the live messages" });
      await first.child.stop("SIGKILL");
      await waitFor(() => engine.emqx.links.size === 2, { what: "the end of the link", timeout: PATIENCE });
      await second.call(publish("3"));
      await second.call('omp_client:connect(<<"a">>, #{})');
      await second.call('omp_client:subscribe(<<"a">>, <<"t/#">>, #{qos => 1})');
      const rest = nodes.slice(1);
      await waitFor(async () => (await payloads(rest, "a")).length >= 3, { what: "all again", timeout: PATIENCE });
      assert.deepEqual(await payloads(rest, "a"), ["1", "2", "3"]);
      await waitFor(async () => (await engine.countStored()) === 0, { what: "the store is empty", timeout: PATIENCE });
    });
  });
}
