// The module that runs in the store's worker thread, and the thread's name.

import { extname } from "node:path";

/** The thread finds it as its last argument too: a bundle is one module for all threads. */
export const WORKER_NAME = "sqlite-store";

/** Beside this file, with the same ending: .ts as it is written, .js as it is packed. */
export const workerFile = new URL(`./worker${extname(import.meta.filename)}`, import.meta.url);
