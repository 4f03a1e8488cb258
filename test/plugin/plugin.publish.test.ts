// The write path: which messages are stored, and what a publisher gets when they cannot be.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreInvalidError, StoreLimitError, StoreTooLargeError } from "../../src/store/errors.ts";
import { MemoryStore } from "./memory-store.ts";
import { startPlugin, turn } from "./plugin-fixture.ts";

test("QoS 1 and 2 on a matching topic are stored, everything else passes", async (t) => {
  const { host, store } = await startPlugin(t, { topics: ["a/#", "$SYS/#", "$own/+"] });
  assert.equal(await host.publish("a/b", "", { qos: 1 }), "stored");
  assert.equal(await host.publish("a", "", { qos: 2 }), "stored");
  assert.equal(await host.publish("$own/b", "", { qos: 1 }), "stored");
  assert.equal(await host.publish("a/b", "", { qos: 0 }), "pass");
  assert.equal(await host.publish("b", "", { qos: 1 }), "pass");
  assert.equal(await host.publish("$SYS/x", "", { qos: 1 }), "pass");
  assert.equal(store.messages.length, 3);
});

test("the answer comes only when the store says that the message is durable", async (t) => {
  const { host, store } = await startPlugin(t);
  store.held = true;
  let answered = false;
  const publish = host.publish("t", "1").then(() => {
    answered = true;
  });
  await turn();
  assert.equal(answered, false);
  store.step();
  await publish;
});

test("a store that is away: refused for now, and the cause said once in the log", async (t) => {
  const { host, store, plugin, log } = await startPlugin(t);
  store.setAway(true);
  for (let n = 0; n < 3; n += 1) {
    assert.deepEqual(await host.publish("t", ""), {
      temporary: true,
      delayClose: false,
      onUnstorable: "close",
      reasonCode: 0x83,
      reasonString: "The message cannot be stored at the moment: publish it again later.",
    });
  }
  assert.equal(plugin.counters.refused.unavailable, 3);
  assert.equal(plugin.memory.unrouted, 0);
  store.setAway(false);
  assert.equal(await host.publish("t", ""), "stored");
  assert.deepEqual(
    log.filter(({ level }) => level !== "debug").map(({ level }) => level),
    ["error", "info"],
  );
});

for (const [failure, expected] of [
  [new StoreLimitError("full"), { temporary: true, delayClose: true, reasonCode: 0x97 }],
  [new StoreTooLargeError("too large"), { temporary: false, delayClose: true, reasonCode: 0x97 }],
  [new StoreInvalidError("topic too long"), { temporary: false, delayClose: true, reasonCode: 0x90 }],
] as const) {
  test(`${failure.code}: reason code 0x${expected.reasonCode.toString(16)}, logged once a minute`, async (t) => {
    const { host, store, log } = await startPlugin(t, { onUnstorable: "acknowledge" });
    store.failure = failure;
    for (let n = 0; n < 3; n += 1) {
      assert.deepEqual(await host.publish("t", ""), {
        ...expected,
        onUnstorable: "acknowledge",
        reasonString: failure.message,
      });
    }
    assert.equal(log.filter(({ level }) => level === "warn").length, 1);
  });
}

test("on_store_error = ignore: the message goes on to live subscribers, and is counted", async (t) => {
  const { host, store, plugin, settle } = await startPlugin(t, { onStoreError: "ignore" });
  const session = host.connect("c");
  host.subscribe("c", "t");
  await settle();
  store.setAway(true);
  assert.equal(await host.publish("t", "1"), "pass");
  assert.deepEqual(session.payloads, ["1"]);
  assert.equal(plugin.counters.ignored, 1);
});

test("a refused message that a page had read ends the wait of that page", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  await host.publish("t", "1");
  const session = host.connect("c");
  await settle();
  store.held = true;
  const publish = host.publish("t", "2");
  host.subscribe("c", "t");
  await turn();
  // The save fails after all, although a row is there: the outcome of a write that timed out.
  store.failure = new StoreLimitError("full");
  assert.equal(store.step(), "saveMessage");
  store.failure = undefined;
  store.held = false;
  store.stepAll();
  await publish;
  await settle();
  assert.deepEqual(session.payloads, ["1"]);
  assert.equal(host.isCatchingUp("c", "t"), false);
});

test("what is published gets ids above what is stored, although the clock is behind", async (t) => {
  const { host, store, settle } = await startPlugin(t);
  await host.publish("t", "from before");
  const [first] = store.messages;
  assert.ok(first);
  // Made when the clock was some years ahead.
  const id = `0007${first.message.id.slice(4)}`;
  first.message = { ...first.message, id };
  store.setAway(true);
  store.setAway(false);
  await settle();
  await host.publish("t", "now");
  assert.ok((host.published.at(-1)?.id ?? "") > id);
});

/** A store that is away and answers nothing, with one message that was made when the clock was some years ahead. */
function storeThatIsAway(): { store: MemoryStore; id: string } {
  const store = new MemoryStore();
  const id = `0007${"0".repeat(28)}`;
  const message = { id, topic: "t", payload: Buffer.alloc(0), qos: 1, retain: false, from: "p", timestamp: 0 } as const;
  store.messages.push({ position: 0, message });
  store.setAway(true);
  store.held = true;
  return { store, id };
}

test("a store that is away is not waited for at the start, but by what is published", async (t) => {
  const { store } = storeThatIsAway();
  const { host } = await startPlugin(t, {}, store);
  const answers = [host.publish("t", "1"), host.publish("t", "2")];
  assert.equal(await host.publish("t", "", { qos: 0 }), "pass");
  await turn();
  assert.deepEqual(store.waiting, ["lastMessageId"], "asked once");
  store.stepAll();
  for (const answer of answers) assert.equal(((await answer) as { reasonCode: number }).reasonCode, 0x83);
});

test("what was published before the store told its newest id is refused if its own is lower, and comes again with a higher one", async (t) => {
  const { store, id } = storeThatIsAway();
  const { host, settle } = await startPlugin(t, {}, store);
  const early = host.publish("t", "early");
  await turn();
  store.held = false;
  store.setAway(false);
  store.stepAll();
  assert.equal(((await early) as { reasonCode: number }).reasonCode, 0x83);
  await settle();
  assert.equal(await host.publish("t", "again"), "stored");
  assert.ok((store.messages.at(-1)?.message.id ?? "") > id);
  assert.equal(store.messages.length, 2);
});

test("what was published before the store told its newest id is stored if its own is higher", async (t) => {
  const { store } = storeThatIsAway();
  store.messages.length = 0;
  const { host } = await startPlugin(t, {}, store);
  const early = host.publish("t", "early");
  await turn();
  store.held = false;
  store.setAway(false);
  store.stepAll();
  assert.equal(await early, "stored");
});
