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

async function chain(topic: string): Promise<never> {
  for (;;) {
    const message = sampleMessage(topic, "x".repeat(100));
    await store.saveMessage(message);
    writeSync(STDOUT, `+${message.id}\n`);
    if (BigInt(`0x${message.id}`) % 3n !== 0n) continue;
    await store.deleteMessages([keyOf(message)]);
    writeSync(STDOUT, `-${message.id}\n`);
  }
}
await Promise.all(Array.from({ length: CHAINS }, (_, at) => chain(`d/${at}`)));
