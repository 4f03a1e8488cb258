// Ways of EMQX that are easily overlooked: what ends late.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inReverse } from "../support/temporary-directory.ts";
import { compileForTests, erlangMissing } from "./erlang-node.ts";
import { startPlugin } from "./scripted-engine.ts";

const skip = erlangMissing;
const scope = inReverse({ after });
let ebin: string;

before(async () => {
  if (skip === undefined) ebin = await compileForTests(scope);
});

const connect = (name: string, options = "#{}"): string => `omp_client:connect(<<"${name}">>, ${options})`;
const publish = (payload: string, topic = "t"): string =>
  `omp_client:publish(<<"p">>, <<"${topic}">>, 1, <<"${payload}">>)`;

for (const release of ["5.8.0", "6.0.1"]) {
  describe(`EMQX ${release}`, { skip }, () => {
    test("takes hooks out later than it is asked to: the application waits until it has", async (t) => {
      const { node } = await startPlugin(t, ebin, { release });
      await node.call(connect("p"));
      await node.call("emqx_stand_ins:set(hooks_take, 20)");
      await node.stop();
      assert.equal(await node.call(publish("1")), "{puback,16}");
      assert.deepEqual(
        (await node.wholeLog()).filter((line) => line.includes("failed")),
        [],
      );
    });
  });
}
