// Random interleavings of publishes, connections, acknowledgements, removals and store calls, checked against what is promised.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../mqtt/seed.ts";
import { startPlugin, turn } from "./plugin-fixture.ts";

const ROUNDS = 60;
const STEPS = 400;
const TOPICS = ["a/1", "a/2", "b/1"];
const FILTERS = ["a/1", "a/#", "+/1", "#", "b/+"];
const CLIENTS = ["c1", "c2", "c3", "c4"];

for (const persistent of [false, true]) {
  test(`random interleavings, ${persistent ? "persistent" : "clean"} sessions`, async (t) => {
    const random = seededRandom(`interleavings ${persistent}`);
    for (let round = 0; round < ROUNDS; round += 1) {
      await t.test(`round ${round}`, async (t) => {
        const { host, store, plugin, settle } = await startPlugin(t, { limits: { pageMessages: 3 } });
        const acknowledged = new Map<string, Set<string>>();
        const publishes: Promise<unknown>[] = [];
        /** Messages that somebody asked to be removed: nobody need get them. */
        const removed = new Set<string>();
        const asked: Promise<unknown>[] = [];
        let published = 0;
        store.held = true;

        const connected = (clientId: string): boolean => host.sessions.get(clientId)?.connected ?? false;
        const ack = (clientId: string, count: number): void => {
          for (const id of [...host.session(clientId).inFlight.keys()].slice(0, count)) {
            const clients = acknowledged.get(id) ?? new Set();
            acknowledged.set(id, clients.add(clientId));
          }
          host.ack(clientId, count);
        };
        const connect = (clientId: string): void => {
          const options = { receiveMaximum: 1 + random.below(4), queueLimit: 1 + random.below(6) };
          host.connect(clientId, { ...options, cleanStart: !persistent, endsWithConnection: !persistent });
        };
        const noRepeats = (clientId: string): void => {
          const ids = host.session(clientId).received.map(({ id }) => id);
          assert.equal(new Set(ids).size, ids.length, `${clientId} gets nothing twice on one connection`);
        };
        const publish = (): void => {
          published += 1;
          publishes.push(host.publish(random.pick(TOPICS), String(published)));
        };
        const remove = (): void => {
          const stored = store.messages.map(({ message }) => message.id);
          if (stored.length === 0) return;
          const id = random.pick(stored);
          removed.add(id);
          asked.push(plugin.backlog.remove(id));
        };
        const unsubscribe = (clientId: string): void => {
          host.unsubscribe(clientId, random.pick(FILTERS));
          for (const clients of host.subscribed.values()) clients.delete(clientId);
        };
        const disconnect = (clientId: string): void => {
          noRepeats(clientId);
          host.disconnect(clientId);
          // It is owed what it was subscribed to only while it stays.
          for (const clients of host.subscribed.values()) clients.delete(clientId);
        };

        for (let step = 0; step < STEPS; step += 1) {
          const clientId = random.pick(CLIENTS);
          const choice = random.below(100);
          if (choice < 25) publish();
          else if (choice < 65) store.step();
          else if (choice < 85) connected(clientId) && ack(clientId, 1 + random.below(3));
          else if (choice < 90) connected(clientId) ? random.chance(0.4) && disconnect(clientId) : connect(clientId);
          else if (choice < 95) connected(clientId) && host.subscribe(clientId, random.pick(FILTERS));
          else if (choice < 97) connected(clientId) && unsubscribe(clientId);
          else if (choice < 98) remove();
          else await turn();
          if (random.chance(0.5)) await turn();
        }

        store.held = false;
        store.stepAll();
        await Promise.all([...publishes, ...asked]);
        for (const clientId of CLIENTS) {
          if (!connected(clientId)) connect(clientId);
        }
        host.connect("collector");
        host.subscribe("collector", "#");
        for (let idle = 0; idle < 3; ) {
          await settle();
          const busy = [...CLIENTS, "collector"].filter((clientId) => host.session(clientId).inFlight.size > 0);
          for (const clientId of busy) ack(clientId, 100);
          idle = busy.length === 0 ? idle + 1 : 0;
        }
        for (const clientId of CLIENTS) noRepeats(clientId);
        for (const message of host.published) {
          if (removed.has(message.id)) continue;
          const clients = acknowledged.get(message.id) ?? new Set();
          assert.ok(clients.size > 0, `message ${message.id} was acknowledged by somebody`);
          for (const clientId of host.subscribed.get(message.id) ?? []) {
            assert.ok(clients.has(clientId), `${clientId} was subscribed all the while and got message ${message.id}`);
          }
        }
        assert.deepEqual(store.messages, []);
        const { claims, owed, removals, unrouted } = plugin.memory;
        assert.deepEqual({ claims, owed, removals, unrouted }, { claims: 0, owed: 0, removals: 0, unrouted: 0 });
      });
    }
  });
}
