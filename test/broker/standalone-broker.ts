// A broker in a process of its own, for tests that limit or kill it: prints its port and runs until it is ended.

import { Broker } from "../../src/broker/broker.ts";
import type { LogMethod } from "../../src/mqtt/logger.ts";

const log: LogMethod = (_fields, message) => console.log(message);
const broker = new Broker({ options: { port: 0 }, logger: { debug: () => {}, info: log, warn: log, error: log } });
const { mqtt } = await broker.start();
console.log(`port ${mqtt?.port}`);
