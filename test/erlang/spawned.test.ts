// Everything as in EMQX: the Erlang application starts the engine of the release package beside it, with a database file in EMQX's data.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ENGINE_FILE } from "../../src/plugin/engine-module.ts";
import { bundleEmqxEngine, bundleEngine, EMQX_ENGINE_FILE } from "../../tools/release/bundle.ts";
import { inReverse, type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { ownEbin } from "./ebin.ts";
import { type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";

const skip = erlangMissing;
/** More than a busy machine needs, in ms. */
const PATIENCE = 60_000;

const scope = inReverse({ after });
let ebin: string;

before(async () => {
  if (skip !== undefined) return;
  ebin = ownEbin(scope);
  writeFileSync(join(dirname(ebin), ENGINE_FILE), (await bundleEngine()).code);
  writeFileSync(join(dirname(ebin), EMQX_ENGINE_FILE), (await bundleEmqxEngine()).code);
});

const OFF = '#{<<"enable">> => false}';

function configuration(topics: string): string {
  return `#{<<"engine">> => #{<<"mode">> => <<"spawn">>, <<"node">> => <<"${process.execPath}">>},
    <<"mysql">> => ${OFF}, <<"redis">> => ${OFF},
    <<"sqlite">> => #{<<"enable">> => true, <<"topics">> => [${topics}]}}`;
}

async function start(t: Scope, release: string, dataDirectory: string): Promise<ErlangNode> {
  const options = { release, dataDirectory, retryDelay: 20 };
  const node = await startErlangNode(t, ebin, { configuration: configuration('<<"#">>'), ...options });
  await node.start();
  await node.isWell();
  return node;
}

const connect = (name: string): string => `omp_client:connect(<<"${name}">>, #{})`;
const publish = (payload: string): string => `omp_client:publish(<<"p">>, <<"t/1">>, 1, <<"${payload}">>)`;

async function seesAll(node: ErlangNode, expected: readonly string[]): Promise<void> {
  const missing = async (): Promise<string[]> => {
    const seen = await node.call('omp_client:everything(<<"a">>)');
    return expected.filter((payload) => !seen.includes(`<<"${payload}">>`));
  };
  await waitFor(async () => (await missing()).length === 0, {
    what: "all is delivered",
    timeout: PATIENCE,
    interval: 50,
  });
}

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`the plugin in EMQX ${release}, with its engine`, { skip }, () => {
    test("stores and delivers, whatever of it is killed", { timeout: 180_000 }, async (t) => {
      const dataDirectory = temporaryDirectory(t);
      const node = await start(t, release, dataDirectory);
      await node.call(connect("p"));
      const acknowledged: string[] = [];
      const publishMany = async (on: ErlangNode, from: number): Promise<void> => {
        for (let i = from; i < from + 50; i++) {
          const seen = await on.call(publish(`m${i}`)).catch(() => "");
          if (seen === "{puback,16}") acknowledged.push(`m${i}`);
        }
      };
      await publishMany(node, 100);
      assert.equal(acknowledged.length, 50);
      // The engine is killed while messages are published: it is started again.
      const publishing = publishMany(node, 200);
      await node.call('os:cmd("kill -9 " ++ integer_to_list(element(4, sys:get_state(emqx_omp_engine))))');
      await publishing;
      await node.isWell();
      await publishMany(node, 300);
      // EMQX is killed, with all that it started.
      const last = publishMany(node, 400);
      await node.child.stop("SIGKILL");
      await last;
      const again = await start(t, release, dataDirectory);
      await again.call(connect("a"));
      await again.call('omp_client:subscribe(<<"a">>, <<"t/#">>, #{qos => 1})');
      await seesAll(again, acknowledged);
      assert.ok(acknowledged.length >= 100, `${acknowledged.length} acknowledged`);
      await again.stop();
      assert.equal(await again.call("emqx_hooks:crashes()"), "0");
    });

    test("takes a configuration that the engine takes, and says what is wrong with another", async (t) => {
      const node = await start(t, release, temporaryDirectory(t));
      const change = (topics: string): Promise<string> =>
        node.call(`case emqx_offline_message_plugin_app:on_config_changed(${configuration('<<"#">>')}, ${configuration(topics)}) of
          ok -> ok; {error, Text} -> binary_to_list(Text) end`);
      assert.match(await change('<<"a/#/b">>'), /a\/#\/b/);
      assert.equal(await change('<<"stored/#">>'), "ok");
      await waitFor(
        async () => (await node.call("map_get(filters, emqx_omp_hooks:settings())")) === '[<<"stored/#">>]',
        {
          what: "the new settings",
        },
      );
      await node.call(connect("p"));
      assert.equal(await node.call(publish("not stored")), "{puback,16}");
    });
  });
}
