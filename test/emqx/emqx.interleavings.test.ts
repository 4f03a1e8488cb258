// Random interleavings of publishes, connections, acknowledgements and link breaks, against what is promised.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CHECK_INTERVAL } from "../../src/emqx/delivery-check.ts";
import { topicMatches } from "../../src/mqtt/topic.ts";
import { type Random, seededRandom } from "../mqtt/seed.ts";
import { turn } from "../plugin/plugin-fixture.ts";
import { waitFor } from "../support/wait-for.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";

const ROUNDS = 5;
const STEPS = 300;
const TOPICS = ["a/1", "a/2", "b/1"];
/** EMQX sends a copy for each subscription that matches: those of one client do not overlap here. */
const FILTERS: Readonly<Record<string, readonly string[]>> = {
  c1: ["a/#", "b/1"],
  c2: ["#"],
  c3: ["a/1", "a/2", "b/+"],
  c4: ["+/1", "a/2"],
};
const CLIENTS = Object.keys(FILTERS);

/** Processes that have something to do, each in its order. */
class Processes {
  readonly #random: Random;
  readonly #queues = new Map<string, (() => void)[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  get isIdle(): boolean {
    return this.#queues.size === 0;
  }

  readonly later = (key: string, run: () => void): void => {
    const queue = this.#queues.get(key);
    if (queue === undefined) this.#queues.set(key, [run]);
    else queue.push(run);
  };

  /** One of them does the next thing. */
  step(): void {
    if (this.isIdle) return;
    const key = this.#random.pick([...this.#queues.keys()]);
    const queue = this.#queues.get(key) ?? [];
    const run = queue.shift();
    if (queue.length === 0) this.#queues.delete(key);
    run?.();
  }

  stepAll(): void {
    while (!this.isIdle) this.step();
  }
}

const QUIET = { persistent: false, breaks: false, async: false, nodes: 1 };

for (const [name, { persistent, breaks, async, nodes: nodeCount }] of Object.entries({
  "clean sessions": QUIET,
  "persistent sessions": { ...QUIET, persistent: true },
  "clean sessions and a link that breaks": { ...QUIET, breaks: true },
  "persistent sessions and a link that breaks": { ...QUIET, persistent: true, breaks: true },
  "two nodes": { ...QUIET, nodes: 2 },
  "two nodes, persistent sessions that move": { ...QUIET, persistent: true, nodes: 2 },
  "two nodes whose links break": { ...QUIET, persistent: true, breaks: true, nodes: 2 },
  "persistent sessions and acknowledgements that do not hold up routing": {
    ...QUIET,
    persistent: true,
    async: true,
  },
})) {
  test(`random interleavings: ${name}`, async (t) => {
    const random = seededRandom(`interleavings on the link, ${name}`);
    for (let round = 0; round < ROUNDS; round += 1) {
      await t.test(`round ${round}`, async (t) => {
        const processes = new Processes(random);
        const linked = await startLinkedPlugin(t, {
          limits: { pageMessages: 3 },
          asyncPublishAck: async,
          node: { later: processes.later, connections: 1 + random.below(4) },
        });
        const { store, plugin, emqx } = linked;
        const nodes = [linked.node];
        while (nodes.length < nodeCount) nodes.push(await linked.startNode({ nodeName: `node ${nodes.length}` }));
        for (const node of nodes) node.cluster = nodes;
        const settle = () => linked.settle(...nodes.slice(1));
        /** Where the client's session is; elsewhere, a random node. */
        const nodeOf = (clientId: string) => nodes.find(({ clients }) => clients.has(clientId)) ?? random.pick(nodes);
        const acknowledged = new Map<string, Set<string>>();
        /** Messages that were answered with "stored". */
        const stored = new Set<string>();
        const publishes: Promise<unknown>[] = [];
        let published = 0;

        /** Clients whose subscriptions of these filters the engine knows. */
        const known = new Map<string, Set<string>>(CLIENTS.map((clientId) => [clientId, new Set()]));
        /** Who was subscribed, to the engine's knowledge, when a message was published, and stayed. */
        const due = new Map<string, Set<string>>();
        /** How often a client has given something up, by which what it had before is told apart. */
        const gaveUp = new Map<string, number>();
        const noteKnown = (clientId: string, ...filters: readonly string[]): void => {
          const client = nodeOf(clientId).clients.get(clientId);
          const session = client?.session;
          const before = gaveUp.get(clientId);
          void nodeOf(clientId)
            .roundTrip()
            .then(() => {
              const now = nodeOf(clientId).clients.get(clientId);
              if (now !== client || now?.session !== session || !now?.connected) return;
              if (gaveUp.get(clientId) !== before) return;
              for (const filter of filters) known.get(clientId)?.add(filter);
            });
        };

        const connected = (clientId: string): boolean => nodeOf(clientId).clients.get(clientId)?.connected ?? false;
        const forgetOwed = (clientId: string): void => {
          gaveUp.set(clientId, (gaveUp.get(clientId) ?? 0) + 1);
          known.get(clientId)?.clear();
          for (const clients of due.values()) clients.delete(clientId);
        };
        // One that another client has acknowledged already is gone when a session turns out to have lost it.
        for (const node of nodes) {
          node.onDropped = (clientId, id) => {
            for (const { subscribed } of nodes) subscribed.get(id)?.delete(clientId);
          };
        }
        const ack = (clientId: string, count: number): void => {
          for (const id of [...nodeOf(clientId).client(clientId).inFlight.keys()].slice(0, count)) {
            acknowledged.set(id, (acknowledged.get(id) ?? new Set()).add(clientId));
          }
          nodeOf(clientId).ack(clientId, count);
        };
        const connect = (clientId: string): void => {
          const options = { receiveMaximum: 1 + random.below(4), queueLimit: 1 + random.below(6) };
          const before = nodeOf(clientId);
          const node = random.pick(nodes);
          if (persistent && node !== before && before.clients.has(clientId)) node.takeOver(clientId, before);
          else
            (persistent ? before : node).connect(clientId, {
              ...options,
              cleanStart: !persistent,
              endsWithConnection: !persistent,
            });
          noteKnown(clientId, ...nodeOf(clientId).client(clientId).subscriptions.keys());
        };
        const noRepeats = (clientId: string): void => {
          const { received } = nodeOf(clientId).client(clientId);
          const ids = received.map(({ id }) => id);
          // A message in flight that is lost with the link's word of it may come twice.
          if (!breaks) assert.equal(new Set(ids).size, ids.length, `${clientId} gets nothing twice on one connection`);
        };
        const publish = (): void => {
          published += 1;
          const payload = String(published);
          const topic = random.pick(TOPICS);
          const knows = (clientId: string) =>
            [...(known.get(clientId) ?? [])].some((filter) => topicMatches(filter, topic));
          due.set(payload, new Set(CLIENTS.filter(knows)));
          const from = random.pick(["p1", "p2", "p3"]);
          const qos = random.chance(0.1) ? 0 : 1;
          const outcome = random.pick(nodes).publish(topic, payload, { from, qos });
          publishes.push(outcome.then(({ result }) => result === "stored" && stored.add(payload)));
        };
        const subscribe = (clientId: string): void => {
          const filter = random.pick(FILTERS[clientId] ?? []);
          nodeOf(clientId).subscribe(clientId, filter);
          noteKnown(clientId, filter);
        };
        const disconnect = (clientId: string): void => {
          noRepeats(clientId);
          nodeOf(clientId).disconnect(clientId);
          forgetOwed(clientId);
        };
        const breakLink = async (): Promise<void> => {
          const node = random.pick(nodes);
          node.breakLink();
          for (const clientId of CLIENTS) forgetOwed(clientId);
          for (let steps = random.below(10); steps > 0; steps -= 1) processes.step();
          await node.openLink();
          for (const { clients } of nodes) {
            for (const [clientId, { subscriptions }] of clients) noteKnown(clientId, ...subscriptions.keys());
          }
        };

        for (let step = 0; step < STEPS; step += 1) {
          const clientId = random.pick(CLIENTS);
          const choice = random.below(100);
          if (choice < 25) publish();
          else if (choice < 65) processes.step();
          else if (choice < 85) connected(clientId) && ack(clientId, 1 + random.below(3));
          else if (choice < 90) connected(clientId) ? random.chance(0.4) && disconnect(clientId) : connect(clientId);
          else if (choice < 95) connected(clientId) && subscribe(clientId);
          else if (choice < 96 && connected(clientId)) {
            nodeOf(clientId).unsubscribe(clientId, random.pick(FILTERS[clientId] ?? []));
            forgetOwed(clientId);
            noteKnown(clientId, ...nodeOf(clientId).client(clientId).subscriptions.keys());
          } else if (choice < 97 && breaks && random.chance(0.5)) await breakLink();
          else if (processes.isIdle && random.chance(0.3)) for (const node of nodes) node.openGates();
          else await turn();
          if (random.chance(0.5)) await turn();
        }

        const finish = async (): Promise<void> => {
          do {
            processes.stepAll();
            await settle();
          } while (!processes.isIdle);
        };
        await waitFor(
          async () => {
            await finish();
            return (await Promise.race([Promise.all(publishes), turn().then(() => false)])) !== false;
          },
          { what: "the answers of all publishes", timeout: 30_000 },
        );
        for (const clientId of CLIENTS) if (!connected(clientId)) connect(clientId);
        linked.node.connect("collector");
        linked.node.subscribe("collector", "#");
        // What an unsubscribed client counts as having is asked about within two rounds of the check.
        const patience = performance.now() + 3 * CHECK_INTERVAL;
        for (let idle = 0; idle < 3; ) {
          await finish();
          const busy = [...CLIENTS, "collector"].filter(
            (clientId) => nodeOf(clientId).client(clientId).inFlight.size > 0,
          );
          for (const clientId of busy) ack(clientId, 100);
          // One that has lost something waits for a second.
          const isWaiting = [...emqx.sessions.allConnected()].some(({ hasRoom }) => !hasRoom);
          const isChecked = emqx.outstanding.size === 0 || performance.now() > patience;
          idle = busy.length === 0 && !isWaiting && isChecked ? idle + 1 : 0;
        }
        for (const clientId of CLIENTS) noRepeats(clientId);
        for (const message of nodes.flatMap(({ published }) => published)) {
          const payload = Buffer.from(message.payload).toString();
          if (!stored.has(payload)) continue;
          const clients = acknowledged.get(message.id) ?? new Set();
          assert.ok(clients.size > 0, `message ${payload} was acknowledged by somebody`);
          for (const clientId of due.get(payload) ?? []) {
            if (!nodes.some(({ subscribed }) => subscribed.get(message.id)?.has(clientId))) continue;
            assert.ok(clients.has(clientId), `${clientId} was subscribed all the while and got message ${payload}`);
          }
        }
        assert.deepEqual(store.messages, []);
        const { claims, owed, removals, unrouted } = plugin.memory;
        assert.deepEqual({ claims, owed, removals, unrouted }, { claims: 0, owed: 0, removals: 0, unrouted: 0 });
        assert.equal(emqx.outstanding.size, 0);
        assert.deepEqual(emqx.publishes.memory, { underway: 0, waiting: 0 });
      });
    }
  });
}
