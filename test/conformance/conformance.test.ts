// Runs every case of the conformance suite for the versions whose statements it names.

import { describe, test } from "node:test";
import { chapters } from "./chapters.ts";
import { CaseContext, type CaseVersion } from "./conformance-case.ts";

for (const [chapter, cases] of chapters) {
  describe(chapter, () => {
    for (const one of cases) {
      const { title, v4, v5 } = one;
      const statements = new Map<CaseVersion, readonly string[] | undefined>([
        [4, v4],
        [5, v5],
      ]);
      for (const [version, numbers] of statements) {
        if (numbers === undefined) continue;
        const name = `MQTT ${version === 4 ? "3.1.1" : "5.0"}: ${title} [${numbers.join(", ")}]`;
        test(name, async (t) => one.run(await CaseContext.start(t, version, one)));
      }
    }
  });
}
