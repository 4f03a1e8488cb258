// Runs every case of the conformance suite for the versions whose statements it names.

import { describe, test } from "node:test";
import { chapters } from "./chapters.ts";
import { CaseContext, type CaseVersion } from "./conformance-case.ts";

for (const [chapter, cases] of chapters) {
  describe(chapter, () => {
    for (const one of cases) {
      const { title, v4, v5, not31 } = one;
      const run = (version: CaseVersion, name: string): void => {
        test(name, async (t) => one.run(await CaseContext.start(t, version, one)));
      };
      if (v4 !== undefined && not31 === undefined) run(3, `MQTT 3.1: ${title}`);
      if (v4 !== undefined) run(4, `MQTT 3.1.1: ${title} [${v4.join(", ")}]`);
      if (v5 !== undefined) run(5, `MQTT 5.0: ${title} [${v5.join(", ")}]`);
    }
  });
}
