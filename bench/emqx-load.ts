// A scripted EMQX as the load of an engine: a real Erlang node with the plugin's application, the stand-ins of the tests, and
// the processes of bench/erlang/.

import { join } from "node:path";
import { ownEbin } from "../test/erlang/ebin.ts";
import { type ErlangNode, startErlangNode } from "../test/erlang/erlang-node.ts";
import { runErlang } from "../test/support/erlang.ts";
import type { Cleanup } from "./cleanup.ts";
import { LINK_SECRET } from "./engine-process.ts";
import { ProcessWatch } from "./process-watch.ts";
import type { MeasuredBroker } from "./scenario.ts";

const LOAD = new URL("erlang/omp_load.erl", import.meta.url).pathname;
/** Longer than any job takes, in ms. */
const PATIENCE = 300_000;

export interface Published {
  readonly messages: number;
  readonly seconds: number;
  /** In ms. */
  readonly p50: number;
  readonly p99: number;
}

export interface Received {
  readonly seconds: number;
  readonly missing: number;
  readonly repeated: number;
  /** The most that waited in the client's mailbox. */
  readonly mailbox: number;
}

export class EmqxLoad {
  readonly watch: ProcessWatch;
  readonly #node: ErlangNode;

  constructor(node: ErlangNode) {
    this.#node = node;
    this.watch = new ProcessWatch(node.child.pid);
  }

  /** Each publisher has a topic of its own. Times in ms. */
  async publishFor(publishers: number, topic: string, payloadBytes: number, warmUp: number, duration: number) {
    const job = `omp_load:publish_for(${publishers}, <<"${topic}">>, ${payloadBytes}, ${warmUp}, ${duration})`;
    const [messages = 0, elapsed = 0, p50 = 0, p99 = 0] = await this.#numbers(job);
    return { messages, seconds: elapsed / 1e6, p50: p50 / 1000, p99: p99 / 1000 } satisfies Published;
  }

  /** All publish to one topic. */
  async publishCount(publishers: number, topic: string, payloadBytes: number, messages: number): Promise<void> {
    const each = Math.ceil(messages / publishers);
    await this.#node.call(`omp_load:publish_count(${publishers}, <<"${topic}">>, ${payloadBytes}, ${each})`, PATIENCE);
  }

  /** One client that subscribes; settles when it has acknowledged so many. */
  async receive(topic: string, messages: number): Promise<Received> {
    const job = `omp_load:receive_all(<<"subscriber">>, <<"${topic}">>, ${messages})`;
    const [elapsed = 0, missing = 0, repeated = 0, mailbox = 0] = await this.#numbers(job);
    return { seconds: elapsed / 1e6, missing, repeated, mailbox };
  }

  async stop(): Promise<void> {
    this.watch.stop();
    const crashes = await this.#node.call("emqx_hooks:crashes()");
    if (crashes !== "0") throw new Error(`${crashes} hooks crashed\n${this.#node.log.join("\n")}`);
    await this.#node.stop();
    await this.#node.child.stop("SIGKILL");
  }

  async #numbers(job: string): Promise<number[]> {
    const term = await this.#node.call(job, PATIENCE);
    return [...term.matchAll(/\d+/g)].map(([number]) => Number(number));
  }
}

/** Compiles all that a node needs, once for a scenario; settles with the folder. */
export async function compileLoad(cleanup: Cleanup): Promise<string> {
  const ebin = ownEbin(cleanup);
  await runErlang("erlc", ["-Werror", "-o", ebin, LOAD]);
  return ebin;
}

/** A node whose plugin is connected to the engine with this configuration, as EMQX would have it. */
export async function startEmqxLoad(
  cleanup: Cleanup,
  ebin: string,
  engine: MeasuredBroker,
  configuration: Readonly<Record<string, unknown>>,
): Promise<EmqxLoad> {
  const { host, port } = engine.address;
  const link = { mode: "connect", server: `${host}:${port}`, secret: LINK_SECRET };
  const json = JSON.stringify(JSON.stringify({ ...configuration, engine: link }));
  const node = await startErlangNode(cleanup, ebin, {
    configuration: `emqx_utils_json:decode(<<${json}>>)`,
    dataDirectory: join(ebin, ".."),
  });
  await node.start();
  await node.isWell();
  const load = new EmqxLoad(node);
  cleanup.after(() => load.watch.stop());
  return load;
}
