// The rows in MySQL: what EMQX's plugin left is read as its own, and what we write is what it would have written.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import { createDatabase, mariadbSkip } from "../support/mariadb.ts";
import { MariadbServer } from "../support/mariadb-server.ts";
import { inReverse, type Scope } from "../support/temporary-directory.ts";
import { startStore } from "./mysql-stores.ts";
import {
  expected,
  loadOriginalMysql,
  messageRows,
  originalMysqlMessages,
  originalRows,
  originalSubscriptionRows,
  subscriptionRows,
} from "./original-mysql-data.ts";
import { comparable, keyOf, nextId, readAll, sampleMessage, saveAll } from "./sample-messages.ts";

describe("the rows of EMQX's plugin", { skip: mariadbSkip("plain") }, () => {
  const scope = inReverse({ after });
  let server: MariadbServer;
  before(async () => {
    server = await MariadbServer.start(scope);
  });

  async function started(t: Scope, options = {}) {
    const setup = await createDatabase(server, options);
    const client = await server.connect({ database: setup.place.database });
    return { client, setup, open: async () => (await startStore(t, setup.place)).store };
  }

  /** What the recording says of a message. */
  const told = ({ from, topic, qos, retain, payload }: Message) => ({
    sender: from,
    topic,
    qos,
    retain,
    payload_base64: Buffer.from(payload).toString("base64"),
  });

  test("are read in publish order, and nothing is left of them once they are deleted", async (t) => {
    const { client, open } = await started(t);
    await loadOriginalMysql(client);
    const store = await open();
    const found = (await readAll(store, "t/#")).map(({ message }) => message);
    assert.deepEqual(found.map(told), expected.stored_in_order);
    assert.deepEqual(found.map(comparable), originalMysqlMessages().map(comparable));
    for (const topic of new Set(found.map((message) => message.topic))) {
      const own = (await readAll(store, topic)).map(({ message }) => message);
      assert.deepEqual(own.map(comparable), found.filter((message) => message.topic === topic).map(comparable), topic);
    }
    assert.equal(await store.lastMessageId(), originalRows.at(-1)?.msgid);
    for (const clientId of new Set(expected.subscriptions.map(({ clientid }) => clientid))) {
      const listed = await store.listSubscriptions(clientId);
      assert.deepEqual(
        listed.map(({ clientId, topicFilter, qos }) => ({ clientid: clientId, topic: topicFilter, qos })).sort(byTopic),
        expected.subscriptions.filter(({ clientid }) => clientid === clientId).toSorted(byTopic),
      );
      for (const { topicFilter } of listed) await store.deleteSubscription(clientId, topicFilter);
    }
    await store.deleteMessages(found.map(keyOf));
    assert.deepEqual(await messageRows(client), []);
    assert.deepEqual(await subscriptionRows(client), []);
  });

  test("are deleted though they were never read", async (t) => {
    const { client, open } = await started(t);
    await loadOriginalMysql(client);
    const store = await open();
    await store.deleteMessages(originalMysqlMessages().map(keyOf));
    assert.deepEqual(await messageRows(client), []);
  });

  test("are what we write for the same publishes, column by column", async (t) => {
    const { client, open } = await started(t);
    const store = await open();
    const stored: Message[] = originalMysqlMessages().map((message) => ({ ...message, id: nextId() }));
    await saveAll(store, stored);
    const own = await messageRows(client);
    assert.deepEqual(
      own.map(({ id, msgid, ...row }) => row),
      originalRows.map(({ id, msgid, ...row }) => row),
    );
    assert.deepEqual(
      own.map(({ msgid }) => msgid),
      stored.map(({ id }) => id),
    );
    for (const { clientid, topic, qos } of expected.subscriptions) {
      const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
      await store.saveSubscription({ clientId: clientid, topicFilter: topic, qos, ...options });
    }
    assert.deepEqual(await subscriptionRows(client), originalSubscriptionRows);
  });

  test("what somebody else put into the table is passed over: no id, another QoS, an id in lower case is one", async (t) => {
    const { client, open } = await started(t);
    const put = (msgid: string | null, qos: number, sender: string | null, payload: string | null) =>
      client.query(
        "INSERT INTO mqtt_msg (msgid, topic, sender, qos, `retain`, payload, arrived) VALUES (?, 't', ?, ?, NULL, ?, NOW())",
        [msgid, sender, qos, payload],
      );
    const id = nextId();
    await put(null, 1, "a", "x");
    await put("not an id", 1, "a", "x");
    await put(nextId(), 3, "a", "x");
    await put(id.toLowerCase(), 0, null, null);
    const store = await open();
    for (const filter of ["t", "#"]) {
      const found = (await readAll(store, filter)).map(({ message }) => message);
      assert.deepEqual(
        found.map((message) => [message.id, message.from, message.qos, message.retain, message.payload.length]),
        [[id, "", 0, false, 0]],
      );
    }
    await store.deleteMessages([{ id, topic: "t" }]);
    assert.equal((await messageRows(client)).length, 3);
    assert.equal(await store.expire(Date.now(), 100), 0);
    assert.equal(await store.purge("#", 100), 0);
  });

  test("of which several have one message id: each is delivered and removed", async (t) => {
    // EMQX's plugin does not look whether an id is stored already.
    const { client, open } = await started(t);
    const message = sampleMessage("t", "x");
    const store = await open();
    await store.saveMessage(message);
    await client.query(
      "INSERT INTO mqtt_msg SELECT NULL, msgid, topic, sender, qos, `retain`, payload, arrived FROM mqtt_msg",
    );
    const found = await readAll(store, "t");
    assert.equal(found.length, 2);
    for (const { message } of found) await store.deleteMessages([keyOf(message)]);
    assert.deepEqual(await messageRows(client), []);
  });
});

function byTopic(a: { readonly topic: string }, b: { readonly topic: string }): number {
  return a.topic < b.topic ? -1 : 1;
}
