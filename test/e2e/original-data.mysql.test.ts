// Moving over from EMQX's plugin with MySQL: its rows are delivered exactly, and gone once they are acknowledged.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import {
  expected,
  loadOriginalMysql,
  type MessageRow,
  messageRows,
  originalRows,
  originalSubscriptionRows,
  subscriptionRows,
} from "../store/original-mysql-data.ts";
import { createDatabase, type MariadbSetup, mariadbSkip, mysqlConfiguration } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { startBrokerWith } from "../support/omp.ts";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const inOrder = expected.stored_in_order;

/** A payload as text, so that a difference in a large one is told in a line. */
function shortened(payload: Uint8Array | string): string {
  const bytes = Buffer.from(payload);
  const text = bytes.toString("base64");
  const digest = createHash("sha256").update(bytes).digest("hex");
  return text.length < 200 ? text : `${text.slice(0, 200)}… ${bytes.length} bytes, SHA-256 ${digest}`;
}

describe("data of EMQX's plugin in MySQL", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  async function begin(
    t: Scope,
    load = true,
  ): Promise<{ setup: MariadbSetup; address: { host: string; port: number } }> {
    const setup = await createDatabase(server);
    if (load) await setup.with(loadOriginalMysql);
    const { address } = await startBrokerWith(t, mysqlConfiguration(setup.place));
    return { setup, address };
  }

  test("a subscriber gets exactly what was stored; once acknowledged no row of it is left", async (t) => {
    const { setup, address } = await begin(t);
    const { client, packets, received } = await connectClient(t, address, { clientId: "new" });
    // With QoS 2, MQTT.js hands a message on when it is released, and those of QoS 1 overtake it.
    await client.subscribeAsync("t/#", { qos: 1, rap: true });
    await received(inOrder.length);
    await waitFor(async () => (await setup.with(messageRows)).length === 0, { what: "an empty table" });
    assert.deepEqual(
      packets.map(({ topic, qos, retain, payload }) => ({ topic, qos, retain, payload: shortened(payload) })),
      inOrder.map(({ topic, retain, payload_base64 }) => {
        return { topic, qos: 1, retain, payload: shortened(Buffer.from(payload_base64, "base64")) };
      }),
    );
  });

  test("a client that had subscribed gets its messages without subscribing again", async (t) => {
    const { address } = await begin(t);
    const { packets, received } = await connectClient(t, address, { clientId: "c with space" });
    await received(1);
    const [message] = inOrder.filter(({ topic }) => topic === "t/ü/日本");
    assert.equal(Buffer.from(packets[0]?.payload ?? "").toString("base64"), message?.payload_base64);
  });

  test("the same publishes and subscriptions leave the same rows", async (t) => {
    const { setup, address } = await begin(t, false);
    const senders = new Map<string, Awaited<ReturnType<typeof connectClient>>>();
    const begun = Math.floor(Date.now() / 1_000) * 1_000;
    for (const { sender, topic, qos, retain, payload_base64 } of inOrder) {
      const publisher =
        senders.get(sender) ?? (await connectClient(t, address, { clientId: sender, protocolVersion: 4 }));
      senders.set(sender, publisher);
      await publisher.client.publishAsync(topic, Buffer.from(payload_base64, "base64"), { qos, retain });
    }
    const ours = await setup.with(messageRows);
    // Without what differs from one publish to the next.
    const comparable = (row: MessageRow) => {
      return { ...row, payload: shortened(row.payload), id: 0, msgid: "", arrived: "" };
    };
    assert.deepEqual(ours.map(comparable), originalRows.map(comparable));
    for (const { msgid, arrived } of ours) {
      assert.match(msgid, /^[0-9A-F]{32}$/);
      const time = Date.parse(`${arrived.replace(" ", "T")}Z`);
      assert.ok(time >= begun && time <= Date.now(), arrived);
    }
    for (const { clientid, topic, qos } of originalSubscriptionRows) {
      const { client, end } = await connectClient(t, address, { clientId: clientid });
      await client.subscribeAsync(topic, { qos });
      await end();
    }
    const count = originalSubscriptionRows.length;
    await waitFor(async () => (await setup.with(subscriptionRows)).length === count, { what: "all subscriptions" });
    assert.deepEqual(await setup.with(subscriptionRows), originalSubscriptionRows);
  });
});
