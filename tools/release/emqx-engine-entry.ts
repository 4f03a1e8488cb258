// What EMQX starts: the engine beside it, with the engine module of the same package.

import { nodeProblem } from "../../src/emqx/node-version.ts";
import { version } from "../../src/mqtt/version.ts";
import { ENGINE_FILE } from "../../src/plugin/engine-module.ts";

const problem = nodeProblem(process.versions.node);
if (problem === undefined) {
  // Not before: an older Node would end here without a word on standard output.
  const { runSpawnedEngine } = await import("../../src/emqx/spawned-engine.ts");
  await runSpawnedEngine({
    module: await import(new URL(ENGINE_FILE, import.meta.url).href),
    engineVersion: version(),
  });
} else {
  process.stdout.write(`${JSON.stringify({ problem })}\n`);
  process.exitCode = 1;
}
