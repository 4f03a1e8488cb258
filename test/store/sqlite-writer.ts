// Child process of the durability test: saves messages and deletes some, and reports each when it is settled.

import { writeSync } from "node:fs";
import { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { keyOf, sampleMessage, silentLogger } from "./sample-messages.ts";

const CHAINS = 20;
const STDOUT = 1;

const path = process.argv[2];
if (path === undefined) throw new Error("usage: sqlite-writer.ts PATH");
const store = new SqliteStore({ path, messageTtl: 0, logger: silentLogger });
await store.start({});

/** Hands the line to the pipe before anything else happens, also when its reader is slow. */
function tell(line: string): void {
  for (let isTold = false; !isTold; ) {
    try {
      writeSync(STDOUT, line);
      isTold = true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}

async function chain(topic: string): Promise<never> {
  for (;;) {
    const message = sampleMessage(topic, "x".repeat(100));
    await store.saveMessage(message);
    tell(`+${message.id}\n`);
    if (BigInt(`0x${message.id}`) % 3n !== 0n) continue;
    await store.deleteMessages([keyOf(message)]);
    tell(`-${message.id}\n`);
  }
}
await Promise.all(Array.from({ length: CHAINS }, (_, at) => chain(`d/${at}`)));
