// Who gets a stored message, in EMQX: the cases of every host on the real Erlang node, and SQLite behind a true link.

import { after, before, describe } from "node:test";
import { deliveryCases } from "../plugin/delivery-cases.ts";
import { inReverse } from "../support/temporary-directory.ts";
import { ebin } from "./ebin.ts";
import { casesOn } from "./erlang-host.ts";
import { type ErlangNode, erlangMissing, startErlangNode } from "./erlang-node.ts";

const skip = erlangMissing;
const scope = inReverse({ after });

for (const release of ["6.0.1", "5.8.0"]) {
  describe(`deliveries in EMQX ${release}`, { skip }, () => {
    let node: ErlangNode;

    before(async () => {
      if (skip === undefined) node = await startErlangNode(scope, ebin, { configuration: "#{}", release });
    });

    deliveryCases(casesOn(() => node));
  });
}
