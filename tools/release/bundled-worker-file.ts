// In a bundle, in place of src/store/sqlite/worker-file.ts: the worker thread runs the same module as everything else.

export { WORKER_NAME } from "../../src/store/sqlite/worker-file.ts";

export const workerFile = new URL(import.meta.url);
