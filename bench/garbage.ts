// Loaded into the broker process: collects all garbage and gives free pages back when told so by SIGUSR2, so that memory
// can also be measured without what V8 keeps for later.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

interface CollectOptions {
  readonly type: "major";
  readonly execution: "sync";
  /** `last-resort` moves what is left together and frees the pages. */
  readonly flavor: "last-resort";
}

if (isMainThread) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: CollectOptions) => void;
  process.on("SIGUSR2", () => {
    // The second time frees pages that the first has emptied.
    for (let time = 0; time < 2; time++) collect({ type: "major", execution: "sync", flavor: "last-resort" });
  });
}
