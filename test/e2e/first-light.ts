// The main job, as its users see it: `omp broker`, mosquitto_pub and mosquitto_sub, MQTT.js. One suite for every store.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { findMosquitto } from "../support/mosquitto.ts";
import { connectClient, publishMany } from "../support/mqtt-client.ts";
import type { RunningBroker } from "../support/omp.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const mosquitto = await findMosquitto();

/** As many brokers at once as two cores start well within the time that a start may take: each needs seconds of theirs. */
const CONCURRENCY = 4;

/** Resident memory of a process in MB. */
function residentMegabytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]) / 1024;
}

export interface FirstLight {
  /** A running broker. */
  broker(scope: Scope): Promise<RunningBroker>;
  /** The broker is the same for all tests, which keep to topics and clients of their own. */
  readonly isShared: boolean;
}

/** Declares the tests. */
export function firstLight(name: string, { broker: start, isShared }: FirstLight): void {
  let tests = 0;
  /** A broker, and what the names of topics and clients begin with. */
  const begin = async (scope: Scope) => {
    const own = isShared ? `${++tests}/` : "";
    return { broker: await start(scope), own };
  };

  describe(`${name}: stock clients`, { skip: mosquitto.missing ?? false, concurrency: CONCURRENCY }, () => {
    for (const qos of ["1", "2"]) {
      for (const version of ["mqttv311", "mqttv5"]) {
        for (const filter of ["t/2", "t/#", "t/+"]) {
          test(`QoS ${qos}, ${version}, ${filter}: three wait, arrive in order, once`, async (t) => {
            const { broker, own } = await begin(t);
            const { address } = broker;
            const payloads = ["hello-from-offline1", "hello-from-offline2", "hello-from-offline3"];
            for (const payload of payloads) {
              const { code } = await mosquitto.publish(address, [
                "-V",
                version,
                "-q",
                qos,
                "-t",
                `${own}t/2`,
                "-m",
                payload,
              ]);
              assert.equal(code, 0);
            }
            const first = mosquitto.subscribe(t, address, [
              "-V",
              version,
              "-q",
              qos,
              "-t",
              `${own}${filter}`,
              "-i",
              `${own}first`,
            ]);
            await first.received(3);
            assert.deepEqual(
              first.messages,
              payloads.map((payload) => ({ topic: `${own}t/2`, qos: Number(qos), retain: false, payload })),
            );
            await first.stop();
            const second = mosquitto.subscribe(t, address, [
              "-V",
              version,
              "-q",
              qos,
              "-t",
              `${own}${filter}`,
              "-i",
              `${own}second`,
            ]);
            await second.subscribed();
            // What comes behind everything that could be replayed.
            await mosquitto.publish(address, ["-q", qos, "-t", `${own}t/2`, "-m", "last"]);
            await second.received(1);
            assert.deepEqual(second.payloads, ["last"]);
          });
        }
      }
    }

    test("subscriptions come back with a clean start, until they are unsubscribed", async (t) => {
      const { broker, own } = await begin(t);
      const { address } = broker;
      const c1 = mosquitto.subscribe(t, address, ["-q", "1", "-t", `${own}t/2`, "-i", `${own}c1`]);
      await c1.subscribed();
      await c1.stop();
      await mosquitto.publish(address, ["-q", "1", "-t", `${own}t/2`, "-m", "while away"]);
      const again = await connectClient(t, address, { clientId: `${own}c1`, clean: true });
      await again.received(1);
      assert.deepEqual(again.payloads, ["while away"]);
      await again.client.unsubscribeAsync(`${own}t/2`);
      await again.end();
      await mosquitto.publish(address, ["-q", "1", "-t", `${own}t/2`, "-m", "not wanted"]);
      const later = await connectClient(t, address, { clientId: `${own}c1`, clean: true });
      await later.client.subscribeAsync(`${own}other`, { qos: 1 });
      await mosquitto.publish(address, ["-q", "1", "-t", `${own}other`, "-m", "wanted"]);
      await later.received(1);
      assert.deepEqual(later.payloads, ["wanted"]);
    });

    test("20,000 stored messages for a slow subscriber, a QoS 0 watcher all the while: steady memory, order, once", async (t) => {
      const count = 20_000;
      const { broker, own } = await begin(t);
      const { address } = broker;
      const watcher = mosquitto.subscribe(t, address, ["-q", "0", "-t", `${own}#`, "-i", `${own}watcher`]);
      await watcher.subscribed();
      const publisher = await connectClient(t, address, { clientId: `${own}publisher` });
      await publishMany(publisher, (index) => `${own}t/${index % 3}`, count);
      await watcher.received(count, 60_000);
      const before = residentMegabytes(broker.child.pid);
      let peak = before;
      const slow = await connectClient(t, address, { clientId: `${own}slow`, properties: { receiveMaximum: 10 } });
      let unacknowledged = 0;
      let most = 0;
      slow.client.on("packetreceive", ({ cmd }) => {
        if (cmd !== "publish") return;
        unacknowledged += 1;
        most = Math.max(most, unacknowledged);
      });
      slow.client.on("packetsend", ({ cmd }) => {
        if (cmd === "puback") unacknowledged -= 1;
      });
      await slow.client.subscribeAsync(`${own}t/#`, { qos: 1 });
      await waitFor(
        () => {
          peak = Math.max(peak, residentMegabytes(broker.child.pid));
          return slow.packets.length >= count;
        },
        { what: "the backlog", timeout: 120_000, interval: 50 },
      );
      assert.deepEqual(
        slow.payloads,
        Array.from({ length: count }, (_, index) => String(index)),
      );
      assert.ok(most <= 10, `${most} in flight`);
      t.diagnostic(`resident memory ${before.toFixed(0)} MB before, ${peak.toFixed(0)} MB at most`);
      assert.ok(peak - before < 64, `grew by ${(peak - before).toFixed(0)} MB`);
      await watcher.stop();
      const second = await connectClient(t, address, { clientId: `${own}second` });
      await second.client.subscribeAsync(`${own}#`, { qos: 1 });
      await publisher.client.publishAsync(`${own}t/0`, "last", { qos: 1 });
      await second.received(1);
      assert.deepEqual(second.payloads, ["last"]);
    });
  });
}
