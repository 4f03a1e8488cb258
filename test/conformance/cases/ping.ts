// PINGREQ and PINGRESP (3.12, 3.13).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { type ConformanceCase, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "every PINGREQ is answered",
    v4: ["3.12.4-1"],
    v5: ["3.12.4-1"],
    run: async ({ connect }) => {
      const client = await connect("c");
      sendHex(client, "c000 c000 c000");
      for (let count = 0; count < 3; count++) await client.next("pingresp");
      assert.deepEqual(await client.ping(), []);
    },
  },
  {
    title: "a PINGREQ with a body ends the connection",
    v4: ["4.8.0-1"],
    v5: ["4.13.1-1"],
    run: async ({ connect, ended }) => {
      const client = await connect("c");
      sendHex(client, "c001 00");
      await ended(client, ReasonCode.MalformedPacket);
    },
  },
];
