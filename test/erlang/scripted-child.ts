// An engine as EMQX starts one, for tests: what it does besides is said by the environment variable SCRIPTED_CHILD.

import { createInterface } from "node:readline";
import type { LinkListener } from "../../src/emqx/link.ts";
import { LinkServer } from "../../src/emqx/link-server.ts";
import { NodeOpcode } from "../../src/emqx/node-frames.ts";

const part = process.env.SCRIPTED_CHILD ?? "";
const say = (entry: object): void => console.log(JSON.stringify(entry));
const quiet = (): void => {};
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };

const listener: LinkListener = {
  whole: quiet,
  frame: (link, _, { opcode, ...frame }) => {
    if (opcode !== NodeOpcode.Configure) return;
    link.send({ opcode: 0x60, request: (frame as { readonly request: number }).request });
    link.send({
      opcode: 0x61,
      topics: ["#"],
      ignoreStoreErrors: false,
      asyncPublishAck: false,
      acknowledgeUnstorable: false,
      timeout: 5000,
    });
    link.isSettled();
    link.send({ opcode: 0x62 });
  },
  hasRoomAgain: quiet,
  broken: quiet,
};

const input = createInterface({ input: process.stdin });
const [line] = await Promise.race([
  new Promise<string[]>((resolve) => input.once("line", (text) => resolve([text]))),
  new Promise<string[]>((resolve) => input.once("close", () => resolve([]))),
]);
const { protocol, secret, dataDirectory } = JSON.parse(line ?? "{}");
if (part === "problem") {
  say({ problem: "the directory cannot be written" });
  process.exit(1);
}
if (part === "end") process.exit(7);
const server = new LinkServer(
  {
    ...{ host: "127.0.0.1", port: 0, secret: Buffer.from(secret), engineVersion: "0.1.0", logger },
    limits: part === "heartbeat" ? { heartbeat: 1000 } : {},
  },
  listener,
);
const { port } = await server.listen();
if (part === "noise") {
  console.log("no JSON at all");
  say({ level: "error", msg: "something is wrong" });
  console.log("x".repeat(200_000));
}
say({ listening: port });
const emqx = Object.keys(process.env).filter((name) => /^(?:EMQX|ERL|RELEASE)_/.test(name));
say({
  level: "info",
  msg: `protocol ${protocol}, in ${process.cwd() === dataDirectory}, EMQX's ${emqx.length}, pid ${process.pid}`,
});
input.once("close", async () => {
  if (part === "stubborn") {
    setInterval(quiet, 1000);
    return;
  }
  await server.stop("EMQX has closed its input");
  process.exit(0);
});
