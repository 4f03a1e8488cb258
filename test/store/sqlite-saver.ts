// Child process of the fault tests: saves one message, as often as it takes, and says what came of it.

import { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { sampleMessage, silentLogger } from "./sample-messages.ts";

const path = process.argv[2];
if (path === undefined) throw new Error("usage: sqlite-saver.ts PATH");
const store = new SqliteStore({ path, timeout: 1_000, logger: silentLogger });

let saved = false;
while (!saved) {
  const healthy = Promise.withResolvers<void>();
  await store.start({ healthChanged: ({ status }) => status === "ok" && healthy.resolve() });
  try {
    await store.saveMessage(sampleMessage("t"));
    console.log("saved");
    saved = true;
  } catch (error) {
    console.log(`refused: ${(error as Error).message}`);
    await healthy.promise;
  }
  await store.stop();
}
