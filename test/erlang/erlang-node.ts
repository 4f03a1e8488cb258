// A real Erlang node with the application that runs inside EMQX, and stand-ins for EMQX's modules (stand-ins/): for one test.

import { type Child, startChild } from "../support/child.ts";
import { erl, erlangMissing } from "../support/erlang.ts";
import { type Scope, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

export { erlangMissing };

/** More than a busy machine needs for one call, in ms. */
const PATIENCE = 30_000;
/** In lines by which `wholeLog` knows that those before have come. */
const MARK = "mark of the test";
const APPLICATION = "emqx_offline_message_plugin";

/** What a test says of EMQX. */
export interface EmqxOptions {
  /** `6.0.1` by default. */
  readonly release?: string;
  /** An Erlang map; `connectTo` makes one. */
  readonly configuration: string;
  /** EMQX's data; a temporary one by default. */
  readonly dataDirectory?: string;
  /** A node of a cluster of two: the first listens on the port, the second connects to it. */
  readonly cluster?: { readonly node: "first" | "second"; readonly port: number };
  /** Ms until a link that broke is tried again, at most ten times as many; as shipped by default. */
  readonly retryDelay?: number;
}

export class ErlangNode {
  readonly child: Child;
  #number = 0;
  #marks = 0;
  #read = 0;
  readonly #answers = new Map<number, { readonly isWell: boolean; readonly term: string }>();

  constructor(child: Child) {
    this.child = child;
  }

  /** Evaluates an Erlang expression, settles with the text of its value; rejects when it fails. Calls run side by side. */
  async call(expression: string, timeout = PATIENCE): Promise<string> {
    this.#number += 1;
    const number = this.#number;
    this.child.process.stdin?.write(`${number} ${expression.replaceAll(/\s*\n\s*/g, " ")}.\n`);
    const answer = await waitFor(
      () => {
        if (this.child.over) throw new Error(`the Erlang node has ended: ${this.child.stderr}`);
        this.#readAnswers();
        return this.#answers.get(number);
      },
      { what: `the answer to ${expression}`, timeout, interval: 2 },
    );
    this.#answers.delete(number);
    if (!answer.isWell) throw new Error(`${expression}: ${answer.term}`);
    return answer.term;
  }

  /** Lines of the log that have come so far; what was answered may be logged and yet to come. */
  get log(): string[] {
    return this.child.stderr.split("\n").filter((line) => line.startsWith("LOG ") && !line.includes(MARK));
  }

  /** Lines of the log, all that were logged until now. */
  async wholeLog(): Promise<string[]> {
    this.#marks += 1;
    const mark = `${MARK} ${this.#marks}.`;
    await this.call(`logger:notice("${mark}")`);
    await waitFor(() => this.child.stderr.includes(mark), { what: "the log", timeout: PATIENCE, interval: 2 });
    return this.log;
  }

  start(): Promise<string> {
    return this.call(`element(1, application:ensure_all_started(${APPLICATION}))`);
  }

  stop(): Promise<string> {
    return this.call(`application:stop(${APPLICATION})`);
  }

  /** `ok`, or why the plugin is not well. */
  health(): Promise<string> {
    return this.call(
      `case ${APPLICATION}_app:on_health_check(#{}) of ok -> ok; {error, Text} -> binary_to_list(Text) end`,
    );
  }

  isWell(): Promise<unknown> {
    return waitFor(async () => (await this.health()) === "ok", { what: "the plugin is well", timeout: PATIENCE });
  }

  /** All connections to the engine are up, whether it takes the configuration or not. */
  isUp(): Promise<unknown> {
    return waitFor(async () => (await this.call("catch ets:info(emqx_omp_connections, size)")) === "4", {
      what: "the link is up",
      timeout: PATIENCE,
    });
  }

  /** No client has a gate any more. */
  gatesAreOpen(): Promise<unknown> {
    return waitFor(async () => (await this.call("emqx_omp_sessions:gates()")) === "0", {
      what: "all gates are open",
      timeout: PATIENCE,
    });
  }

  #readAnswers(): void {
    const { stdout } = this.child;
    for (let end = stdout.indexOf("\n", this.#read); end !== -1; end = stdout.indexOf("\n", this.#read)) {
      const [, number, kind, term = ""] = stdout.slice(this.#read, end).match(/^= (\d+) (ok|error) (.*)$/) ?? [];
      if (number !== undefined) this.#answers.set(Number(number), { isWell: kind === "ok", term });
      this.#read = end + 1;
    }
  }
}

/** A node whose application is not started yet. It ends with the test. */
export async function startErlangNode(scope: Scope, ebin: string, options: EmqxOptions): Promise<ErlangNode> {
  const { path, env } = erl();
  const data = options.dataDirectory ?? temporaryDirectory(scope);
  const args = ["-noshell", "-pa", ebin, ...distribution(options.cluster), "-s", "omp_test_node"];
  const child = startChild(scope, path, args, { env, keepInput: true });
  await child.output(/^ready$/m, PATIENCE);
  const node = new ErlangNode(child);
  if (options.cluster?.node === "second") {
    await waitFor(async () => (await node.call("net_kernel:connect_node('first@127.0.0.1')")) === "true", {
      what: "the nodes are connected",
      timeout: PATIENCE,
    });
  }
  await node.call(`emqx_stand_ins:set(release, "${options.release ?? "6.0.1"}")`);
  await node.call(`emqx_stand_ins:set(data_directory, "${data}")`);
  await node.call(`emqx_stand_ins:set(configuration, ${options.configuration})`);
  await node.call(`application:load(${APPLICATION})`);
  if (options.retryDelay !== undefined) {
    await node.call(`application:set_env(${APPLICATION}, retry_delay, ${options.retryDelay})`);
    await node.call(`application:set_env(${APPLICATION}, longest_retry_delay, ${10 * options.retryDelay})`);
  }
  return node;
}

/** Erlang's distribution on loopback, without the daemon that knows ports: there is one, and only the first node listens. */
function distribution(cluster: EmqxOptions["cluster"]): string[] {
  if (cluster === undefined) return [];
  const listen = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"];
  return [
    ...["-name", `${cluster.node}@127.0.0.1`, "-setcookie", "tests"],
    ...["-start_epmd", "false", "-erl_epmd_port", String(cluster.port)],
    ...(cluster.node === "first" ? listen : ["-dist_listen", "false"]),
  ];
}

/** The configuration for an engine that listens there. */
export function connectTo(port: number, secret: string, more = ""): string {
  const engine = `#{<<"mode">> => <<"connect">>, <<"server">> => <<"127.0.0.1:${port}">>, <<"secret">> => <<"${secret}">>}`;
  return `#{<<"engine">> => ${engine}${more}}`;
}
