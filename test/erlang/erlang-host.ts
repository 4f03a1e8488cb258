// The real Erlang node as the host of the cases of every host: the plugin with SQLite behind a true link to it.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Message, QoS } from "../../src/mqtt/message.ts";
import type { SubscriptionRequest } from "../../src/mqtt/subscription.ts";
import type { PluginOptions } from "../../src/plugin/options.ts";
import { SECRET } from "../emqx/link-peer.ts";
import { type SettlingNode, startLinkedPlugin } from "../emqx/linked-plugin.ts";
import type { CaseFixture, CaseHost, CaseSession } from "../plugin/delivery-cases.ts";
import type { ConnectOptions } from "../plugin/memory-host.ts";
import { connectTo, type ErlangNode } from "./erlang-node.ts";

type Received = CaseSession["received"][number];
/** Of omp_rounds: client id, how many messages are in flight, and those that it was sent. */
type LookedAt = readonly [
  clientId: string,
  inFlight: number,
  sent: readonly (readonly [id: string, topic: string, qos: QoS, payload: string, retained: boolean])[],
];

/** What the test's last look has shown of a client. */
class ErlangSession implements CaseSession {
  received: readonly Received[] = [];
  inFlight = { size: 0 };

  get payloads(): string[] {
    return this.received.map(({ payload }) => payload);
  }
}

/**
 * Clients of the node. What they are told to do is done later, in that order; what they are told in one turn is done
 * together before the engine hears of it, as on hosts that do it at once.
 */
export class ErlangHost implements CaseHost, SettlingNode {
  frames = 0;
  readonly #node: ErlangNode;
  readonly #sessions = new Map<string, ErlangSession>();
  #done: Promise<unknown> = Promise.resolve();
  /** Erlang expressions that are done together, as long as further ones may be added. */
  #together: string[] | undefined;
  #bytes = 0;
  #seen = 0;

  constructor(node: ErlangNode) {
    this.#node = node;
  }

  connect(clientId: string, options: ConnectOptions = {}): ErlangSession {
    const { cleanStart = true, endsWithConnection = true, receiveMaximum = 10, queueLimit = 1000 } = options;
    this.#call(
      `omp_client:connect(${text(clientId)}, #{acknowledges => false, clean_start => ${cleanStart},
        expiry_interval => ${endsWithConnection ? 0 : 3600}, receive_maximum => ${receiveMaximum},
        mqueue_len => ${queueLimit}})`,
    );
    const session = new ErlangSession();
    void this.#do(async () => this.#sessions.set(clientId, session));
    return session;
  }

  disconnect(clientId: string): void {
    this.#call(`omp_client:disconnect(${text(clientId)})`);
  }

  subscribe(clientId: string, topicFilter: string, options: Partial<SubscriptionRequest> = {}): void {
    const { qos = 1, noLocal = false, retainAsPublished = false, retainHandling = 0 } = options;
    const map = `#{qos => ${qos}, nl => ${Number(noLocal)}, rap => ${Number(retainAsPublished)}, rh => ${retainHandling}}`;
    this.#call(`omp_client:subscribe(${text(clientId)}, ${text(topicFilter)}, ${map})`);
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    this.#call(`omp_client:unsubscribe(${text(clientId)}, ${text(topicFilter)})`);
  }

  /** Settles with what the publisher sees, when those who were subscribed have it. */
  publish(topic: string, payload: string, options: Partial<Message> = {}): Promise<string> {
    const { from = "publisher", qos = 1, retain = false } = options;
    this.#together = undefined;
    return this.#do(async () => {
      const more = `#{retain => ${retain}}`;
      const outcome = await this.#node.call(
        `omp_client:publish(${text(from)}, ${text(topic)}, ${qos}, ${text(payload)}, ${more})`,
      );
      this.#look(JSON.parse(await this.#json("omp_rounds:look()")));
      return outcome;
    });
  }

  ack(clientId: string, count = 1): void {
    this.#call(`omp_client:acknowledge(${text(clientId)}, ${count})`);
  }

  /** Settles when all is done that the clients were told to do; rejects if something failed. */
  async done(): Promise<void> {
    await this.#done;
  }

  async roundTrip(): Promise<void> {
    const [bytes, own, seen, crashes, clients] = JSON.parse(await this.#json("omp_rounds:round()"));
    assert.equal(crashes, 0, "hooks that crashed");
    if (bytes - own !== this.#bytes || seen !== this.#seen) this.frames += 1;
    this.#bytes = bytes;
    this.#seen = seen;
    this.#look(clients);
  }

  #look(clients: readonly LookedAt[]): void {
    for (const [clientId, size, sent] of clients) {
      const session = this.#sessions.get(clientId);
      if (session === undefined) continue;
      session.inFlight = { size };
      session.received = sent.map(([id, topic, qos, payload, retained]) => ({ id, topic, qos, payload, retained }));
    }
  }

  #call(expression: string): void {
    if (this.#together !== undefined) {
      this.#together.push(expression);
      return;
    }
    const together = [expression];
    this.#together = together;
    void this.#do(async () => {
      if (this.#together === together) this.#together = undefined;
      const works = together.map((each) => `fun() -> ${each} end`);
      const answers = await this.#node.call(`omp_rounds:together([${works.join(", ")}])`);
      assert.match(answers, /^\[(?:(?:ok|true|false),?)+\]$/, together.join("\n"));
    });
  }

  /** After all before. If that failed, so does this. */
  #do<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#done.then(step);
    // `done()` and all that comes after tell it.
    done.catch(() => {});
    this.#done = done;
    return done;
  }

  async #json(expression: string): Promise<string> {
    return JSON.parse((await this.#node.call(expression)).slice("<<".length, -">>".length));
  }
}

/** Starts cases on a node that each leaves as it was. Its application is not started. */
export function casesOn(node: () => ErlangNode) {
  return async (t: TestContext, options: Partial<PluginOptions> = {}): Promise<CaseFixture> => {
    const erlang = node();
    const engine = await startLinkedPlugin(t, options);
    const { store, plugin } = engine;
    engine.scope.after(async () => {
      await erlang.stop();
      await erlang.call("omp_rounds:clear()");
    });
    await erlang.call(`emqx_stand_ins:set(configuration, ${connectTo(engine.port, SECRET.toString())})`);
    await erlang.start();
    await erlang.isWell();
    const host = new ErlangHost(erlang);
    host.connect("publisher");
    const settle = async (): Promise<void> => {
      await host.done();
      await engine.settle(host);
    };
    return { host, store, plugin, settle };
  };
}

function text(value: string): string {
  return `<<${JSON.stringify(value)}/utf8>>`;
}
