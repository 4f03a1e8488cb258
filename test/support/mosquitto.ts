// mosquitto_pub and mosquitto_sub as MQTT clients of tests: stock clients that share no code with ours.

import { type Child, type ChildResult, runChild, startChild } from "./child.ts";
import { debianTool, type Tool } from "./debian-tool.ts";
import type { Scope } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

/** Where a broker listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A message as mosquitto_sub printed it. */
export interface ReceivedMessage {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly payload: string;
}

/** Both clients, or why they are missing (give `missing` to a test's `skip`: `{ skip: mosquitto.missing ?? false }`). */
export interface Mosquitto {
  readonly missing?: string;
  /** Runs mosquitto_pub with these arguments (without -h and -p) to its end. */
  publish(address: Address, args: readonly string[], input?: string): Promise<ChildResult>;
  /** Starts mosquitto_sub with these arguments (without -h, -p, -d and -F). */
  subscribe(scope: Scope, address: Address, args: readonly string[]): MosquittoSubscriber;
}

/** Finds the clients, or unpacks them once; see debian-tool.ts. */
export async function findMosquitto(): Promise<Mosquitto> {
  const pub = await debianTool(["mosquitto-clients"], "mosquitto_pub");
  const sub = await debianTool(["mosquitto-clients"], "mosquitto_sub");
  return {
    missing: pub.missing ?? sub.missing,
    publish(address, args, input) {
      const { path, env } = present(pub.tool);
      return runChild(path, [...where(address), ...args], { env, input });
    },
    subscribe(scope, address, args) {
      const { path, env } = present(sub.tool);
      // -d tells when the subscription is made; the format marks messages among those lines. A line buffer shows them at once.
      const line = ["-oL", path, ...where(address), "-d", "-F", "message %q %r %t %p", ...args];
      return new MosquittoSubscriber(startChild(scope, "stdbuf", line, { env }));
    },
  };
}

function present(tool: Tool | undefined): Tool {
  if (tool === undefined) throw new Error("mosquitto-clients are missing: skip this test with `missing`");
  return tool;
}

function where(address: Address): string[] {
  return ["-h", address.host, "-p", String(address.port)];
}

const MESSAGE_LINE = /^message ([012]) ([01]) (\S+) (.*)$/;

/** A running mosquitto_sub. Topics with spaces and payloads with line ends are beyond its line format. */
export class MosquittoSubscriber {
  readonly child: Child;
  readonly #messages: ReceivedMessage[] = [];
  /** How much of the output is parsed. */
  #parsed = 0;

  constructor(child: Child) {
    this.child = child;
  }

  /** What has arrived so far, in order. */
  get messages(): readonly ReceivedMessage[] {
    const { stdout } = this.child;
    for (let end = stdout.indexOf("\n", this.#parsed); end >= 0; end = stdout.indexOf("\n", this.#parsed)) {
      const [, qos, retain, topic = "", payload = ""] = stdout.slice(this.#parsed, end).match(MESSAGE_LINE) ?? [];
      if (qos !== undefined) this.#messages.push({ topic, qos: Number(qos), retain: retain === "1", payload });
      this.#parsed = end + 1;
    }
    return this.#messages;
  }

  get payloads(): string[] {
    return this.messages.map((message) => message.payload);
  }

  /** Waits for SUBACK. */
  async subscribed(timeout?: number): Promise<void> {
    await this.child.output(/^Subscribed \(/m, timeout);
  }

  /** Waits for CONNACK. */
  async connected(timeout?: number): Promise<void> {
    await this.child.output(/received CONNACK \(0\)/, timeout);
  }

  /** Waits until this many messages have arrived in all. */
  async received(count: number, timeout = 10_000): Promise<readonly ReceivedMessage[]> {
    return waitFor(() => (this.messages.length >= count ? this.messages : undefined), {
      what: `${count} messages`,
      timeout,
    });
  }

  /** Disconnects and ends. */
  async stop(): Promise<ChildResult> {
    return this.child.stop("SIGTERM");
  }
}
