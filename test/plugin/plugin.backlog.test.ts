// What looks after stored messages, while clients are sent them: removals, purges, additions, and what is told of replays.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/mqtt/message.ts";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import { StoreInvalidError } from "../../src/store/errors.ts";
import { waitFor } from "../support/wait-for.ts";
import { startPlugin, turn } from "./plugin-fixture.ts";

const always = () => true;

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, at) => String(from + at));
}

const older = new MessageIdGenerator({ now: () => BigInt(Date.now() - 60_000) * 1_000n });

function added(topic: string, payload: string, rest: Partial<Message> = {}): Message {
  const timestamp = Date.now() - 60_000;
  return {
    id: older.next(),
    from: "c",
    topic,
    qos: 1,
    retain: false,
    payload: Buffer.from(payload),
    timestamp,
    ...rest,
  };
}

test("a purge while a client catches up: nothing of a page that was read before is sent any more", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t, { limits: { pageMessages: 10 } });
  for (const payload of numbers(1, 50)) await host.publish("t", payload);
  await host.publish("other", "stays");
  const session = host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "#");
  await settle();
  assert.deepEqual(session.payloads, ["1", "2"]);
  assert.deepEqual(await plugin.backlog.purge("t", 1_000, always), { messages: 50, bytes: 91, complete: true });
  // What is in flight may be acknowledged: that changes nothing.
  while (session.inFlight.size > 0) {
    host.ack("c", 2);
    await settle();
  }
  assert.deepEqual(session.payloads, ["1", "2", "stays"]);
  assert.equal(store.messages.length, 0);
  assert.deepEqual(plugin.memory, { claims: 0, owed: 0, removals: 0, unrouted: 0, replays: 1 });
  await host.publish("t", "live");
  assert.equal(session.payloads.at(-1), "live");
});

test("a purge removes in pages, up to its limit, and for as long as it may go on", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  for (const payload of numbers(1, 1_300)) await host.publish(`t/${Number(payload) % 2}`, payload);
  await settle();
  const { length } = store.carriedOut;
  assert.deepEqual(await plugin.backlog.purge("t/+", 600, always), {
    messages: 600,
    bytes: 9 + 180 + 501 * 3,
    complete: false,
  });
  assert.deepEqual(store.carriedOut.slice(length), ["readPage", "deleteMessages", "readPage", "deleteMessages"]);
  let pages = 0;
  const { messages, complete } = await plugin.backlog.purge("#", 1_000, () => pages++ < 1);
  assert.deepEqual({ messages, complete }, { messages: 512, complete: false });
  assert.equal((await plugin.backlog.purge("t/0", 1_000, always)).complete, true);
  assert.equal(store.messages.length, 94);
  assert.deepEqual(await plugin.backlog.purge("none", 1_000, always), { messages: 0, bytes: 0, complete: true });
});

test("a message that is removed while it is in flight: the acknowledgement is harmless, and so is none", async (t) => {
  for (const acknowledges of [true, false]) {
    const { host, store, plugin, settle } = await startPlugin(t);
    await host.publish("t", "1");
    const session = host.connect("c");
    host.subscribe("c", "t");
    await settle();
    const [id = ""] = [...session.inFlight.keys()];
    assert.equal(await plugin.backlog.remove(id), true);
    assert.equal(await plugin.backlog.remove(id), false, "it is not there any more");
    if (acknowledges) host.ack("c");
    else host.disconnect("c");
    await settle();
    const other = host.connect("other");
    host.subscribe("other", "t");
    await settle();
    assert.deepEqual(other.payloads, []);
    assert.equal(store.messages.length, 0);
    assert.equal(plugin.memory.claims + plugin.memory.removals, 0);
  }
});

test("a removal that the store does not take changes nothing: replays come back to the message", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  for (const payload of ["1", "2", "3"]) await host.publish("t", payload);
  const session = host.connect("c", { receiveMaximum: 1 });
  host.subscribe("c", "t");
  await settle();
  const second = store.messages[1]?.message.id ?? "";
  store.held = true;
  const removal = plugin.backlog.remove(second);
  removal.catch(() => {});
  // It looks first.
  store.step();
  await turn();
  host.ack("c");
  await turn();
  assert.deepEqual(session.payloads, ["1", "3"], "it is passed over while its removal is under way");
  store.setAway(true);
  store.stepAll();
  await assert.rejects(removal, { code: "STORE_UNAVAILABLE" });
  store.setAway(false);
  store.held = false;
  store.stepAll();
  await settle();
  host.ack("c");
  await waitFor(() => session.payloads.length === 3, { what: "the message that was kept" });
  assert.equal(session.payloads[2], "2");
  host.ack("c");
  await waitFor(() => store.messages.length === 0, { what: "everything acknowledged" });
  assert.equal(plugin.memory.removals, 0);
});

test("a message that is acknowledged while its removal fails is removed once the store is back", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const session = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  const [id = ""] = [...session.inFlight.keys()];
  store.held = true;
  const removal = plugin.backlog.remove(id);
  removal.catch(() => {});
  store.step();
  await turn();
  host.ack("c");
  store.setAway(true);
  store.stepAll();
  await assert.rejects(removal, { code: "STORE_UNAVAILABLE" });
  store.held = false;
  store.setAway(false);
  store.stepAll();
  await waitFor(() => store.messages.length === 0, { what: "the message that was acknowledged" });
  assert.deepEqual(session.payloads, ["1"]);
});

test("removals that would have to be remembered beyond their bound are refused", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t, { limits: { removals: 5 } });
  for (const payload of numbers(1, 8)) await host.publish("t", payload);
  await settle();
  await assert.rejects(plugin.backlog.purge("t", 100, always), { code: "STORE_UNAVAILABLE", message: /Too many/ });
  assert.equal(store.messages.length, 8);
  assert.equal(plugin.memory.removals, 0);
  assert.equal((await plugin.backlog.purge("t", 5, always)).messages, 5);
});

test("messages are added under their ids, once, behind what is stored, and wait for the next time that a client catches up", async (t) => {
  const { host, plugin, settle } = await startPlugin(t);
  const live = host.connect("live");
  host.subscribe("live", "t");
  await settle();
  await host.publish("t", "published");
  const messages = numbers(1, 3).map((payload) => added("t", payload));
  const [first] = messages as [Message];
  const expired = added("t", "x", { expiresAt: Date.now() - 1 });
  assert.deepEqual(await plugin.backlog.add([...messages, first, expired]), [
    "stored",
    "stored",
    "stored",
    "already stored",
    "expired",
  ]);
  assert.deepEqual(await plugin.backlog.add(messages), ["already stored", "already stored", "already stored"]);
  await settle();
  assert.deepEqual(live.payloads, ["published"]);
  const away = host.connect("away");
  host.subscribe("away", "t");
  await settle();
  assert.deepEqual(away.payloads, ["1", "2", "3"], "the other one is being sent what was published");
  assert.deepEqual(
    away.received.map(({ id }) => id),
    messages.map(({ id }) => id),
  );
});

test("new messages get ids above an added one, and an id of a time to come is refused", async (t) => {
  const { host, plugin } = await startPlugin(t);
  const at = (ms: number) => new MessageIdGenerator({ now: () => BigInt(Date.now() + ms) * 1_000n }).next();
  const ahead = added("t", "ahead", { id: at(3_600_000) });
  const far = added("t", "far", { id: at(48 * 3_600_000) });
  const [outcome, refused] = await plugin.backlog.add([ahead, far]);
  assert.equal(outcome, "stored");
  assert.ok(refused instanceof StoreInvalidError);
  await host.publish("t", "new");
  const { id = "" } = host.published.at(-1) ?? {};
  assert.ok(id > ahead.id && id < far.id);
});

test("what was purged can be added again while a page that was read before is in use", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  for (const payload of numbers(1, 4)) await host.publish("t", payload);
  const session = host.connect("c", { receiveMaximum: 1 });
  host.subscribe("c", "t");
  await settle();
  const copies = store.messages.map(({ message }) => message);
  await plugin.backlog.purge("t", 100, always);
  assert.equal((await plugin.backlog.readPage({ topicFilter: "t", maxMessages: 9, maxBytes: 9 })).messages.length, 0);
  assert.deepEqual(await plugin.backlog.add(copies), ["stored", "stored", "stored", "stored"]);
  assert.equal((await plugin.backlog.readPage({ topicFilter: "t", maxMessages: 9, maxBytes: 9 })).messages.length, 4);
  host.disconnect("c");
  const again = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  assert.deepEqual(again.payloads, numbers(1, 4));
  host.ack("c", 4);
  await settle();
  assert.equal(store.messages.length, 0);
  assert.equal(session.payloads.length, 1);
});

test("a client's subscriptions are told and removed with what waits to be written", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  host.connect("c");
  host.subscribe("c", "a/#", { qos: 2 });
  await settle();
  store.held = true;
  host.subscribe("c", "b");
  const listing = plugin.backlog.listSubscriptions("c");
  store.stepAll();
  assert.deepEqual((await listing).map(({ topicFilter }) => topicFilter).sort(), ["a/#", "b"]);
  store.held = false;
  await settle();
  assert.equal(await plugin.backlog.removeSubscription("c", "b"), true);
  assert.equal(await plugin.backlog.removeSubscription("c", "b"), false);
  assert.deepEqual(
    (await plugin.backlog.listSubscriptions("c")).map(({ topicFilter }) => topicFilter),
    ["a/#"],
  );
  assert.deepEqual(await plugin.backlog.listClients("", 5), ["c"]);
});

test("a subscription that could not be removed is still written once the store is back", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  host.connect("c");
  host.subscribe("c", "a");
  await settle();
  store.setAway(true);
  host.subscribe("c", "a", { qos: 2 });
  await assert.rejects(plugin.backlog.removeSubscription("c", "a"), { code: "STORE_UNAVAILABLE" });
  store.setAway(false);
  await waitFor(() => store.subscriptions.get("c\0a")?.qos === 2, { what: "the newest subscription" });
});

test("replays tell how far they are", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t);
  assert.equal(plugin.backlog.replaysOf("c"), undefined);
  for (const payload of numbers(1, 5)) await host.publish("t/1", payload);
  host.connect("c", { receiveMaximum: 2 });
  host.subscribe("c", "t/#");
  host.subscribe("c", "quiet");
  await settle();
  const [, second] = store.messages;
  const catchingUp = {
    clientId: "c",
    topicFilter: "t/#",
    isCatchingUp: true,
    position: String(second?.position),
    lastId: second?.message.id,
    readAhead: 3,
  };
  assert.deepEqual(plugin.backlog.replaysOf("c"), {
    inflight: 2,
    receiveMaximum: 2,
    replays: [catchingUp, { clientId: "c", topicFilter: "quiet", isCatchingUp: false, readAhead: 0 }],
  });
  assert.deepEqual(plugin.backlog.replaysCatchingUp("", 5), { replays: [catchingUp], total: 1 });
  for (let round = 0; round < 3; round++) {
    host.ack("c", 2);
    await settle();
  }
  assert.equal(
    plugin.backlog.replaysOf("c")?.replays.every(({ isCatchingUp }) => !isCatchingUp),
    true,
  );
  assert.deepEqual(plugin.backlog.replaysCatchingUp("", 5), { replays: [], total: 0 });
});

test("those who catch up are listed in pages, each once, shared ones first", async (t) => {
  const { host, plugin, settle } = await startPlugin(t);
  for (const payload of numbers(1, 40)) await host.publish("t", payload);
  for (const clientId of numbers(1, 23)) {
    host.connect(clientId, { receiveMaximum: 1 });
    host.subscribe(clientId, "t");
  }
  host.subscribe("7", "$share/g/t");
  await settle();
  const waiting = numbers(1, 23).filter((clientId) => host.isCatchingUp(clientId, "t"));
  assert.ok(waiting.length > 10);
  for (const limit of [1, 4, 100]) {
    const found: string[] = [];
    let after: string | undefined = "";
    while (after !== undefined) {
      const { replays, next, total } = plugin.backlog.replaysCatchingUp(after, limit);
      assert.ok(replays.length <= limit);
      assert.equal(total, waiting.length + 1);
      found.push(...replays.map(({ clientId = "shared" }) => clientId));
      after = next;
    }
    assert.deepEqual(found, ["shared", ...waiting.sort()]);
  }
});
