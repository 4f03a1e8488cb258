// What the bundle in the release package begins with: the engine module, or the SQLite store's worker thread.

import { isMainThread } from "node:worker_threads";
import { WORKER_NAME } from "../../src/store/sqlite/worker-file.ts";

export * from "../../src/engine/engine.ts";

if (!isMainThread && process.argv.at(-1) === WORKER_NAME) await import("../../src/store/sqlite/worker.ts");
