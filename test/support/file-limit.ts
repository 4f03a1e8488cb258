// Ends a test file that takes too long, and names what kept it alive. test/run.ts loads this into every test process.

import { isMainThread } from "node:worker_threads";

const seconds = Number(process.env.OMP_TEST_FILE_LIMIT);

if (isMainThread && seconds > 0) {
  setTimeout(() => {
    const open = process.getActiveResourcesInfo().join(", ");
    console.error(`${process.argv[1]}: still running after ${seconds} s; open: ${open}`);
    process.exit(1);
  }, seconds * 1000).unref();
}
