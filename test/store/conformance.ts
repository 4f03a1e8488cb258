// What every store has to do, whatever database is behind it: one suite for all of them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Message, QoS } from "../../src/mqtt/message.ts";
import type { Subscription } from "../../src/mqtt/subscription.ts";
import { StoreError } from "../../src/store/errors.ts";
import type { Store, TopicSummary } from "../../src/store/store.ts";
import type { Scope } from "../support/temporary-directory.ts";
import {
  comparable,
  keyOf,
  listAll,
  nextId,
  payloads,
  readAll,
  sampleMessage,
  sampleMessages,
  saveAll,
  textOf,
  topics,
} from "./sample-messages.ts";

export interface ConformanceSettings {
  /** In seconds; absent: never. */
  readonly messageTtl?: number;
}

/** Where stores may differ. */
export interface StoreTraits {
  /** Commits the Packet Identifier of a QoS 2 publish together with its message. */
  readonly keepsPacketIds: boolean;
  /** Keeps the options of a subscription beside its QoS. */
  readonly keepsSubscriptionOptions: boolean;
  /** Can list the clients that have subscriptions. */
  readonly listsClients: boolean;
  /** Keeps when clients were seen, so that it can list those that were not seen for long. */
  readonly keepsLastSeen: boolean;
  /** What tables that somebody else has made have no room for; absent: there is room for all. */
  readonly lacks?: {
    /** MQTT 5 properties, and the expiry of a message. */
    readonly properties: boolean;
    /** Parts of seconds of a message's time: they are cut off. */
    readonly milliseconds: boolean;
    /** Subscriptions that differ from a stored one in case or spaces at the end only: they are not stored, and disturb none. */
    readonly likeSubscriptions: boolean;
    /** Payloads of more bytes. */
    readonly payloadsAbove: number;
  };
}

/** Makes a started, empty store that is stopped and removed after the test. */
export type CreateStore = (scope: Scope, settings?: ConformanceSettings) => Promise<Store>;

/** [filter, topics it matches]; the topics are those of all lines. */
const WILDCARDS: readonly (readonly [filter: string, ...matches: string[]])[] = [
  ["#", "a", "a/", "a/b", "a/b/c", "a/b/d", "a/bb/c", "/a", "/", "//", "b", "ab", "a0", "ä/b"],
  ["+", "a", "b", "ab", "a0"],
  ["a", "a"],
  ["a/#", "a", "a/", "a/b", "a/b/c", "a/b/d", "a/bb/c"],
  ["a/+", "a/", "a/b"],
  ["+/b", "a/b", "ä/b"],
  ["+/+", "a/", "a/b", "/a", "/", "ä/b"],
  ["a/+/c", "a/b/c", "a/bb/c"],
  ["a/b/#", "a/b", "a/b/c", "a/b/d"],
  ["+/b/#", "a/b", "a/b/c", "a/b/d", "ä/b"],
  ["/+", "/a", "/"],
  ["/#", "/a", "/", "//"],
  ["+/+/+", "a/b/c", "a/b/d", "a/bb/c", "//"],
  ["a/b/c/#", "a/b/c"],
  ["ä/+", "ä/b"],
  ["$SYS/#", "$SYS/x", "$SYS/x/y"],
  ["$SYS/+", "$SYS/x"],
  ["+/x"],
  ["c/#"],
  ["a/+/e"],
];

const EXACT_TOPICS = [
  "t/abc",
  "t/ABC",
  "t/Abc",
  "t/ábc",
  "t/a\u0301bc",
  "t/abc ",
  " t/abc",
  "t/abc\t",
  "t/%",
  "t/_",
  "t/a_c",
  "t/a%",
  "t/'quoted'",
  't/"quoted"',
  "t/back\\slash",
  "t/`tick`",
  "t/{brace}",
  "t/{}",
  "t/[a]*?",
  "t/ß",
  "t/ss",
  "t/😀",
  "t/\u{10ffff}",
  "t/0",
  "t/00",
  "t/1e3",
  "t/null",
  "t/;DROP TABLE mqtt_msg",
  "mqtt:msg:t",
];

const CLIENT_IDS = [
  "c1",
  "C1",
  "c1 ",
  "__proto__",
  "constructor",
  "é",
  "e\u0301",
  "a:b",
  "{x}",
  "'",
  '"',
  "%",
  "*",
  "😀",
  "0",
  "00",
];

/** One of each set of texts that are the same but for case and spaces at the end. */
function unlike(texts: readonly string[]): string[] {
  return [...new Map(texts.toReversed().map((text) => [text.trimEnd().toLowerCase(), text])).values()];
}

export function storeConformance(name: string, traits: StoreTraits, createStore: CreateStore): void {
  const { lacks } = traits;
  /** What comes back of a message: what the store has no room for is not there. */
  const keptMessage = ({ properties, expiresAt, timestamp, ...message }: Message): Message => ({
    ...message,
    timestamp: lacks?.milliseconds ? Math.floor(timestamp / 1_000) * 1_000 : timestamp,
    ...(lacks?.properties || properties === undefined ? {} : { properties }),
    ...(lacks?.properties || expiresAt === undefined ? {} : { expiresAt }),
  });

  describe(`${name}: messages`, () => {
    test("what is saved is read as it was, and gone once deleted", async (t) => {
      const store = await createStore(t);
      const message = sampleMessage("t/2", "hello", { qos: 2, retain: true, from: "client ü" });
      await store.saveMessage(message);
      assert.deepEqual(
        (await readAll(store, "t/2")).map(({ message }) => comparable(message)),
        [comparable(keptMessage(message))],
      );
      await store.deleteMessages([keyOf(message)]);
      assert.deepEqual(await readAll(store, "t/2"), []);
      assert.deepEqual(await store.totals(), { messages: 0, bytes: 0 });
    });

    test("the last message id is the highest, whatever was saved last", async (t) => {
      const store = await createStore(t);
      assert.equal(await store.lastMessageId(), undefined);
      const [low, high] = [sampleMessage("t", "low"), sampleMessage("a", "high")];
      await saveAll(store, [high, low]);
      assert.equal(await store.lastMessageId(), high.id);
      await store.deleteMessages([keyOf(high)]);
      assert.equal(await store.lastMessageId(), low.id);
    });

    test("the Packet Identifiers of QoS 2 publishes are stored with their messages, or not at all", async (t) => {
      const store = await createStore(t);
      const messages = [1, 2, 3, 4].map((number) => sampleMessage("t", `message ${number}`, { from: `c${number}` }));
      const [first, second, third, fourth] = messages as [Message, Message, Message, Message];
      await Promise.all([
        store.saveMessage(first, 65_535),
        store.saveMessage(second, 1),
        store.saveMessage(third),
        store.saveMessage(fourth, 7),
      ]);
      const all = await store.listPacketIds("", 10);
      if (!traits.keepsPacketIds) {
        assert.deepEqual(all, []);
        return;
      }
      const list = async (after: string, limit: number) =>
        (await store.listPacketIds(after, limit)).map(({ message, packetId }) => [comparable(message), packetId]);
      const entry = (message: Message, packetId: number) => [comparable(message), packetId];
      assert.deepEqual(await list("", 10), [entry(first, 65_535), entry(second, 1), entry(fourth, 7)]);
      assert.deepEqual(await list("", 2), [entry(first, 65_535), entry(second, 1)]);
      assert.deepEqual(await list(second.id, 10), [entry(fourth, 7)]);
      await store.deleteMessages([keyOf(fourth)]);
      assert.deepEqual(await list(second.id, 10), []);
    });

    test("saving an id again changes nothing", async (t) => {
      const store = await createStore(t);
      const first = sampleMessage("t", "first");
      await store.saveMessage(first);
      await store.saveMessage({ ...first, payload: Buffer.from("second, and longer") });
      await saveAll(store, [first, first, first]);
      assert.deepEqual(await payloads(store, "t"), ["first"]);
      assert.deepEqual(await store.totals(), { messages: 1, bytes: 5 });
    });

    test("calls of one turn for one id take effect in their order", async (t) => {
      const store = await createStore(t);
      const [gone, back] = sampleMessages("t", 2) as [Message, Message];
      const key = keyOf(gone);
      await Promise.all([store.saveMessage(gone), store.saveMessage(gone), store.deleteMessages([key])]);
      assert.deepEqual(await payloads(store, "t"), []);
      await store.saveMessage(back);
      await Promise.all([store.deleteMessages([keyOf(back)]), store.saveMessage(back)]);
      assert.deepEqual(await payloads(store, "t"), ["1"]);
    });

    test("deleting passes over what is not stored", async (t) => {
      const store = await createStore(t);
      const [first, second] = sampleMessages("t", 2);
      assert.ok(first && second);
      await saveAll(store, [first, second]);
      await store.deleteMessages([]);
      await store.deleteMessages([
        { id: nextId(), topic: "t" },
        keyOf(first),
        keyOf(first),
        { id: nextId(), topic: "u" },
      ]);
      await store.deleteMessages([keyOf(first)]);
      assert.deepEqual(await payloads(store, "t"), ["1"]);
      assert.deepEqual(await store.totals(), { messages: 1, bytes: 1 });
    });

    test("many messages are deleted in one call", async (t) => {
      const store = await createStore(t);
      const messages = sampleMessages("t", 1_500);
      await saveAll(store, messages);
      await store.deleteMessages(messages.slice(0, 1_499).map(keyOf));
      assert.deepEqual(await payloads(store, "t"), ["1499"]);
    });

    test("payloads of every kind come back byte for byte", async (t) => {
      const store = await createStore(t);
      const allBytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const bytes = (length: number) => new Uint8Array(length).map((_, at) => (at * 31) % 251);
      const large = bytes(Math.min(1024 * 1024, lacks?.payloadsAbove ?? Number.POSITIVE_INFINITY));
      // A view into the middle of a larger buffer, as payloads from a socket are.
      const view = Buffer.concat([Buffer.from("before"), allBytes, Buffer.from("after")]).subarray(6, 262);
      const kinds = [
        new Uint8Array(0),
        allBytes,
        view,
        Buffer.from([0]),
        Buffer.from("null"),
        Buffer.from("😀"),
        large,
      ];
      await saveAll(
        store,
        kinds.map((payload) => sampleMessage("p", payload)),
      );
      const found = await readAll(store, "p");
      assert.equal(found.length, kinds.length);
      for (const [at, { message }] of found.entries()) {
        assert.ok(Buffer.from(kinds[at] as Uint8Array).equals(message.payload), `payload ${at}`);
      }
      if (lacks === undefined) return;
      await assert.rejects(store.saveMessage(sampleMessage("p", bytes(lacks.payloadsAbove + 1))), {
        code: "STORE_TOO_LARGE",
      });
      assert.equal((await readAll(store, "p")).length, kinds.length);
    });

    test("the payload is taken at the call: changing it afterwards changes nothing once it is saved", async (t) => {
      const store = await createStore(t);
      const payload = Buffer.from("kept");
      await store.saveMessage(sampleMessage("t", payload));
      payload.fill("x");
      assert.deepEqual(await payloads(store, "t"), ["kept"]);
    });

    test("MQTT 5 properties come back, user properties in their order", async (t) => {
      const store = await createStore(t);
      const full = sampleMessage("t", "full", {
        expiresAt: Date.now() + 3_600_000,
        properties: {
          payloadFormatIndicator: 1,
          contentType: "text/plain; charset=ü",
          responseTopic: "answers/to/'me'",
          correlationData: Uint8Array.of(0, 255, 10, 13),
          userProperties: [
            ["a", "1"],
            ["b", "2"],
            ["a", "3"],
            ["", ""],
            ["__proto__", "x"],
            ["😀", '"\\'],
          ],
        },
      });
      const small = sampleMessage("t", "small", {
        properties: { payloadFormatIndicator: 0, correlationData: new Uint8Array(0) },
      });
      const none = sampleMessage("t", "none");
      await saveAll(store, [full, small, none]);
      const found = (await readAll(store, "t")).map(({ message }) => comparable(message));
      assert.deepEqual(
        found,
        [full, small, none].map((message) => comparable(keptMessage(message))),
      );
    });

    test("a batch with a message that cannot be stored keeps the others", async (t) => {
      const store = await createStore(t);
      const messages = sampleMessages("t", 9);
      const bad = sampleMessage(`t/${"x".repeat(70_000)}`, "bad");
      const outcomes = await Promise.allSettled(
        [...messages.slice(0, 5), bad, ...messages.slice(5)].map((m) => store.saveMessage(m)),
      );
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        [...Array(5).fill("fulfilled"), "rejected", ...Array(4).fill("fulfilled")],
      );
      const refused = outcomes[5] as PromiseRejectedResult;
      assert.ok(refused.reason instanceof StoreError && !refused.reason.temporary, String(refused.reason));
      assert.equal((await payloads(store, "t/#")).join(""), "012345678");
    });
  });

  describe(`${name}: order and pages`, () => {
    test("concurrent saves are read in the order of the calls, across topics", async (t) => {
      const store = await createStore(t);
      const messages = Array.from({ length: 1_000 }, (_, at) => sampleMessage(`o/${at % 7}`, String(at)));
      await saveAll(store, messages);
      assert.deepEqual(
        await payloads(store, "o/#"),
        messages.map((message) => textOf(message)),
      );
      const fives = messages.filter(({ topic }) => topic === "o/5").map((message) => textOf(message));
      assert.deepEqual(await payloads(store, "o/5"), fives);
    });

    test("every page size gives the same messages, each once", async (t) => {
      const store = await createStore(t);
      const messages = Array.from({ length: 23 }, (_, at) =>
        sampleMessage(at % 3 === 0 ? "p/other" : `p/${at % 2}`, String(at)),
      );
      await saveAll(store, messages);
      for (const filter of ["#", "p/+", "p/1"]) {
        const expected = messages
          .filter(({ topic }) => filter !== "p/1" || topic === "p/1")
          .map((message) => textOf(message));
        for (let size = 1; size <= 25; size++) {
          assert.deepEqual(await payloads(store, filter, size), expected, `${filter} in pages of ${size}`);
        }
      }
    });

    test("a page ends when its payloads reach the bytes asked for, but has one message at least", async (t) => {
      const store = await createStore(t);
      await saveAll(
        store,
        [10, 10, 10, 500, 10].map((size) => sampleMessage("b", "x".repeat(size))),
      );
      for (const topicFilter of ["b", "b/#", "#"]) {
        const sizes = async (maxBytes: number) => {
          const page = await store.readPage({ topicFilter, maxMessages: 10, maxBytes });
          return page.messages.map(({ message }) => message.payload.length);
        };
        assert.deepEqual(await sizes(1), [10]);
        assert.deepEqual(await sizes(20), [10, 10]);
        assert.deepEqual(await sizes(25), [10, 10, 10]);
        assert.deepEqual(await sizes(31), [10, 10, 10, 500]);
        assert.equal((await readAll(store, topicFilter, { maxBytes: 1 })).length, 5);
      }
    });

    test("the end is told, and a message saved later is found after the last position", async (t) => {
      const store = await createStore(t);
      await saveAll(store, sampleMessages("t", 3));
      const page = await store.readPage({ topicFilter: "t", maxMessages: 100, maxBytes: 1_000 });
      assert.equal(page.next, undefined);
      const after = page.messages.at(-1)?.position;
      assert.ok(after);
      await store.saveMessage(sampleMessage("t", "later"));
      const later = await store.readPage({ topicFilter: "t", after, maxMessages: 100, maxBytes: 1_000 });
      assert.deepEqual(
        later.messages.map(({ message }) => textOf(message)),
        ["later"],
      );
      assert.equal(later.next, undefined);
    });

    test("a position stays good when its message, and all others, are deleted", async (t) => {
      const store = await createStore(t);
      const old = sampleMessages("t", 5);
      await saveAll(store, old);
      const page = await store.readPage({ topicFilter: "t", maxMessages: 5, maxBytes: 1_000 });
      const after = page.messages.at(-1)?.position;
      assert.ok(after);
      await store.deleteMessages(old.map(keyOf));
      await saveAll(store, sampleMessages("t", 3));
      const next = await store.readPage({ topicFilter: "t", after, maxMessages: 5, maxBytes: 1_000 });
      assert.deepEqual(
        next.messages.map(({ message }) => textOf(message)),
        ["0", "1", "2"],
      );
    });

    test("reading in pages while what was read is deleted skips nothing", async (t) => {
      const store = await createStore(t);
      const messages = Array.from({ length: 500 }, (_, at) => sampleMessage(`d/${at % 5}`, String(at)));
      await saveAll(store, messages);
      const seen: string[] = [];
      const removals: Promise<void>[] = [];
      let after: string | undefined;
      do {
        const page = await store.readPage({
          topicFilter: "d/#",
          maxMessages: 7,
          maxBytes: 1_000,
          ...(after === undefined ? {} : { after }),
        });
        seen.push(...page.messages.map(({ message }) => textOf(message)));
        removals.push(store.deleteMessages(page.messages.map(({ message }) => keyOf(message))));
        after = page.next;
      } while (after !== undefined);
      await Promise.all(removals);
      assert.deepEqual(
        seen,
        messages.map((message) => textOf(message)),
      );
      assert.deepEqual(await store.totals(), { messages: 0, bytes: 0 });
    });

    test("a page read after a settled save or deletion sees it", async (t) => {
      const store = await createStore(t);
      const noise = Promise.all(sampleMessages("noise", 500).map((message) => store.saveMessage(message)));
      for (const message of sampleMessages("t", 10)) {
        await store.saveMessage(message);
        assert.equal((await readAll(store, "t")).length, 1);
        await store.deleteMessages([keyOf(message)]);
        assert.equal((await readAll(store, "t")).length, 0);
      }
      await noise;
    });
  });

  describe(`${name}: topics`, () => {
    test("its own positions are known, other texts are not", async (t) => {
      const store = await createStore(t);
      await saveAll(store, sampleMessages("t", 3));
      const { messages, next = "" } = await store.readPage({ topicFilter: "t", maxMessages: 2, maxBytes: 9 });
      for (const position of [...messages.map((stored) => stored.position), next]) {
        assert.ok(store.isPosition(position), position);
      }
      for (const text of ["", "x", "-1", "1e3", "1 ", "NaN", ":", "9".repeat(400), "'", "1;DROP TABLE mqtt_msg"]) {
        assert.ok(!store.isPosition(text), text);
      }
    });

    test("one message is read by its id and topic, unless it has gone or expired", async (t) => {
      const store = await createStore(t, { messageTtl: 60 });
      const [message, deleted] = [sampleMessage("t/1", "one", { qos: 2, retain: true }), sampleMessage("t/1", "two")];
      const aged = sampleMessage("t/1", "old", { timestamp: Date.now() - 61_000 });
      await saveAll(store, [message, deleted, aged]);
      await store.deleteMessages([keyOf(deleted)]);
      const found = await store.readMessage(message.id, message.topic);
      assert.ok(found);
      const { timestamp } = lacks?.milliseconds ? found : message;
      assert.deepEqual(comparable(found), comparable({ ...message, timestamp }));
      for (const { id, topic } of [deleted, aged, sampleMessage("t/1")]) {
        assert.equal(await store.readMessage(id, topic), undefined);
      }
    });

    test("which messages are stored is told, of many at once too", async (t) => {
      const store = await createStore(t);
      const stored = sampleMessages("f/1", 700);
      await saveAll(store, [...stored, sampleMessage("f/2", "other")]);
      const missing = sampleMessages("f/1", 5);
      const found = await store.findStored([...missing, ...stored].map(keyOf));
      assert.deepEqual(found.sort(), stored.map(({ id }) => id).sort());
      assert.deepEqual(await store.findStored([]), []);
    });

    test("wildcards match as MQTT says", async (t) => {
      const store = await createStore(t);
      const all = [...new Set(WILDCARDS.flatMap(([, ...matches]) => matches))];
      await saveAll(
        store,
        all.map((topic) => sampleMessage(topic)),
      );
      for (const [filter, ...matches] of WILDCARDS) {
        assert.deepEqual((await topics(store, filter)).sort(), [...matches].sort(), filter);
        const listed = await listAll(store, { topicFilter: filter, limit: 100 });
        assert.deepEqual(listed.map(({ topic }) => topic).sort(), [...matches].sort(), `listTopics ${filter}`);
      }
    });

    test("topics match exactly: case, accents, spaces, signs of the query languages", async (t) => {
      const store = await createStore(t);
      await saveAll(
        store,
        EXACT_TOPICS.map((topic) => sampleMessage(topic, topic)),
      );
      for (const topic of EXACT_TOPICS) assert.deepEqual(await payloads(store, topic), [topic]);
      assert.deepEqual(
        (await topics(store, "t/#")).sort(),
        EXACT_TOPICS.filter((topic) => topic.startsWith("t/")).sort(),
      );
      // One wildcard begins behind another part of the text than the other.
      assert.deepEqual(
        (await topics(store, "t/+")).sort(),
        EXACT_TOPICS.filter((topic) => topic.startsWith("t/")).sort(),
      );
      assert.deepEqual(
        (await listAll(store, { topicFilter: "t/+", limit: 100 })).map(({ topic }) => topic).sort(),
        EXACT_TOPICS.filter((topic) => topic.startsWith("t/")).sort(),
      );
      for (const topic of EXACT_TOPICS) assert.equal(await store.purge(topic, 10), 1, topic);
      assert.deepEqual(await store.totals(), { messages: 0, bytes: 0 });
    });

    test("counts by topic, in pages", async (t) => {
      const store = await createStore(t);
      const expected = new Map<string, TopicSummary>();
      const messages = Array.from({ length: 120 }, (_, at) => sampleMessage(`l/${at % 23}`, "x".repeat(at)));
      for (const { topic, payload } of messages) {
        const counted = expected.get(topic) ?? { topic, messages: 0, bytes: 0 };
        expected.set(topic, { topic, messages: counted.messages + 1, bytes: counted.bytes + payload.length });
      }
      await saveAll(store, [...messages, sampleMessage("other", "x")]);
      for (const limit of [1, 5, 23, 100]) {
        const listed = await listAll(store, { topicFilter: "l/+", limit });
        assert.equal(listed.length, expected.size, `pages of ${limit}`);
        for (const { oldest: _o, newest: _n, ...counts } of listed) {
          assert.deepEqual(counts, expected.get(counts.topic));
        }
      }
      assert.deepEqual(await store.totals(), { messages: 121, bytes: (119 * 120) / 2 + 1 });
    });

    test("a topic without messages is not listed", async (t) => {
      const store = await createStore(t);
      const message = sampleMessage("gone", "x");
      await store.saveMessage(message);
      await store.deleteMessages([keyOf(message)]);
      assert.deepEqual(await store.listTopics({ topicFilter: "#", limit: 10 }), { topics: [] });
    });

    test("a topic tells when its first and last message were published", async (t) => {
      const store = await createStore(t);
      const first = Math.floor(Date.now() / 1_000) * 1_000 - 60_000;
      const at = (seconds: number) => ({ timestamp: first + seconds * 1_000 });
      await saveAll(store, [
        sampleMessage("t/1", "x", at(0)),
        sampleMessage("t/2", "x", at(1)),
        sampleMessage("t/1", "x", at(2)),
        sampleMessage("t/1", "x", at(5)),
      ]);
      assert.deepEqual(await listAll(store, { topicFilter: "t/+", limit: 10 }), [
        { topic: "t/1", messages: 3, bytes: 3, oldest: first, newest: first + 5_000 },
        { topic: "t/2", messages: 1, bytes: 1, oldest: first + 1_000, newest: first + 1_000 },
      ]);
    });
  });

  describe(`${name}: expiry and purge`, () => {
    test("a message past its own expiry is not read, and is swept", async (t) => {
      const store = await createStore(t);
      const now = Date.now();
      await saveAll(store, [
        sampleMessage("e/1", "never"),
        sampleMessage("e/1", "past", { expiresAt: now - 1 }),
        sampleMessage("e/2", "later", { expiresAt: now + 60_000 }),
        sampleMessage("e/2", "past", { expiresAt: now - 60_000 }),
      ]);
      if (lacks?.properties) {
        assert.deepEqual(await payloads(store, "e/#"), ["never", "past", "later", "past"]);
        assert.equal(await store.expire(now + 60_001, 100), 0);
        return;
      }
      assert.deepEqual(await payloads(store, "e/#"), ["never", "later"]);
      assert.deepEqual(await payloads(store, "e/2", 1), ["later"]);
      assert.equal(await store.expire(now, 100), 2);
      assert.equal((await store.totals()).messages, 2);
      assert.equal(await store.expire(now + 60_001, 100), 1);
      assert.deepEqual(await payloads(store, "#"), ["never"]);
    });

    test("messages older than message_ttl are not read, and are swept up to the limit", async (t) => {
      const store = await createStore(t, { messageTtl: 60 });
      const now = Date.now();
      const old = Array.from({ length: 25 }, () => sampleMessage("e", "old", { timestamp: now - 61_000 }));
      await saveAll(store, [...old, sampleMessage("e", "new", { timestamp: now })]);
      assert.deepEqual(await payloads(store, "e"), ["new"]);
      assert.deepEqual(await payloads(store, "#", 2), ["new"]);
      assert.equal(await store.expire(now, 10), 10);
      assert.equal(await store.expire(now, 10), 10);
      assert.equal(await store.expire(now, 10), 5);
      assert.equal(await store.expire(now, 10), 0);
      assert.deepEqual(await payloads(store, "e"), ["new"]);
    });

    test("purge removes what matches, up to the limit", async (t) => {
      const store = await createStore(t);
      await saveAll(
        store,
        Array.from({ length: 30 }, (_, at) => sampleMessage(at % 3 === 0 ? "keep/1" : `purge/${at % 3}`, "x")),
      );
      assert.equal(await store.purge("purge/#", 7), 7);
      assert.equal((await store.purge("purge/1", 100)) + (await store.purge("purge/2", 100)), 13);
      assert.equal(await store.purge("purge/#", 100), 0);
      assert.deepEqual(await store.totals(), { messages: 10, bytes: 10 });
      assert.equal(await store.purge("#", 1_000), 10);
    });

    test("purge with a leading wildcard leaves $-topics", async (t) => {
      const store = await createStore(t);
      await saveAll(store, [sampleMessage("$app/x", "x"), sampleMessage("x", "x")]);
      assert.equal(await store.purge("#", 100), 1);
      assert.deepEqual(await topics(store, "$app/#"), ["$app/x"]);
    });
  });

  describe(`${name}: subscriptions`, () => {
    const sample = (clientId: string, topicFilter: string, rest: Partial<Subscription> = {}): Subscription => ({
      clientId,
      topicFilter,
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      ...rest,
    });
    /** What comes back of a subscription: options that the store has no room for are as without them. */
    const kept = ({ clientId, topicFilter, qos, ...options }: Subscription): Subscription =>
      sample(clientId, topicFilter, traits.keepsSubscriptionOptions ? { qos, ...options } : { qos });
    const byFilter = (a: Subscription, b: Subscription) => (a.topicFilter < b.topicFilter ? -1 : 1);

    test("are saved, replaced, listed and deleted", async (t) => {
      const store = await createStore(t);
      const first = sample("c", "a/#", {
        qos: 2,
        noLocal: true,
        retainAsPublished: true,
        retainHandling: 2,
        subscriptionIdentifier: 268_435_455,
      });
      await store.saveSubscription(sample("c", "a/#"));
      await store.saveSubscription(first);
      await store.saveSubscription(sample("c", "b"));
      await store.saveSubscription(sample("d", "b"));
      assert.deepEqual((await store.listSubscriptions("c")).sort(byFilter), [kept(first), sample("c", "b")]);
      await store.deleteSubscription("c", "a/#");
      await store.deleteSubscription("c", "a/#");
      await store.deleteSubscription("nobody", "b");
      assert.deepEqual(await store.listSubscriptions("c"), [sample("c", "b")]);
      assert.deepEqual(await store.listSubscriptions("d"), [sample("d", "b")]);
      assert.deepEqual(await store.listSubscriptions("nobody"), []);
    });

    test("options come back in all their combinations", async (t) => {
      const store = await createStore(t);
      const all: Subscription[] = [];
      for (const qos of [0, 1, 2] satisfies QoS[]) {
        for (const retainHandling of [0, 1, 2] as const) {
          for (const noLocal of [false, true]) {
            for (const retainAsPublished of [false, true]) {
              all.push(sample("c", `f/${all.length}`, { qos, retainHandling, noLocal, retainAsPublished }));
            }
          }
        }
      }
      await Promise.all(all.map((subscription) => store.saveSubscription(subscription)));
      assert.deepEqual((await store.listSubscriptions("c")).sort(byFilter), all.map(kept).sort(byFilter));
    });

    test("clients that have some are listed in pages, where the store can tell", async (t) => {
      const store = await createStore(t);
      const clientIds = Array.from({ length: 12 }, (_, at) => `client ${String.fromCharCode(97 + at)}`);
      for (const clientId of clientIds) {
        await store.saveSubscription(sample(clientId, "t/1"));
        await store.saveSubscription(sample(clientId, "t/2"));
      }
      if (!traits.listsClients) {
        assert.equal(await store.listClients("", 5), undefined);
        return;
      }
      const listed: string[] = [];
      for (
        let page = await store.listClients("", 5);
        page?.length;
        page = await store.listClients(listed.at(-1) ?? "", 5)
      ) {
        assert.ok(page.length <= 5);
        listed.push(...page);
      }
      assert.deepEqual(listed, clientIds);
      assert.deepEqual(await store.listClients("client k", 5), ["client l"]);
    });

    test("odd client ids and filters are told apart", async (t) => {
      const store = await createStore(t);
      const all = ["$share/g/t/#", "t/ ", "t", "T", "+", "#", "😀/+", "'\"%"];
      for (const clientId of CLIENT_IDS) {
        for (const filter of all) await store.saveSubscription(sample(clientId, filter));
      }
      const filters = lacks?.likeSubscriptions ? unlike(all) : all;
      const clientIds = lacks?.likeSubscriptions ? unlike(CLIENT_IDS) : CLIENT_IDS;
      const others = CLIENT_IDS.filter((clientId) => !clientIds.includes(clientId));
      for (const clientId of others) {
        assert.deepEqual(await store.listSubscriptions(clientId), []);
        for (const filter of all) await store.deleteSubscription(clientId, filter);
      }
      for (const clientId of clientIds) {
        const listed = await store.listSubscriptions(clientId);
        assert.deepEqual(listed.map(({ topicFilter }) => topicFilter).sort(), [...filters].sort(), clientId);
        for (const filter of filters) await store.deleteSubscription(clientId, filter);
        assert.deepEqual(await store.listSubscriptions(clientId), []);
      }
    });

    test("concurrent changes take effect in the order of the calls", async (t) => {
      const store = await createStore(t);
      const calls: Promise<void>[] = [];
      for (let round = 0; round < 50; round++) {
        calls.push(store.saveSubscription(sample("c", "t", { qos: (round % 3) as QoS })));
        calls.push(store.deleteSubscription("c", "t"));
      }
      calls.push(store.saveSubscription(sample("c", "t", { qos: 2 })));
      await Promise.all(calls);
      assert.deepEqual(await store.listSubscriptions("c"), [sample("c", "t", { qos: 2 })]);
    });

    test("clients that were not seen for long are listed, up to the limit", async (t) => {
      const store = await createStore(t);
      const before = Date.now();
      for (const clientId of CLIENT_IDS) {
        await store.saveSubscription(sample(clientId, "t/1"));
        await store.saveSubscription(sample(clientId, "t/2"));
      }
      assert.deepEqual(await store.listStaleClients(before - 1_000, 100), []);
      const later = Date.now() + 10_000;
      const [seen, ...stale] = CLIENT_IDS;
      assert.ok(seen);
      await store.touchSubscriptions([seen, "nobody"], later);
      if (!traits.keepsLastSeen) {
        assert.deepEqual(await store.listStaleClients(later + 1, 100), []);
        return;
      }
      assert.deepEqual((await store.listStaleClients(later, 100)).sort(), stale.sort());
      assert.equal((await store.listStaleClients(later, 3)).length, 3);
      assert.equal((await store.listStaleClients(later + 1, 100)).length, CLIENT_IDS.length);
      await store.touchSubscriptions(CLIENT_IDS, later);
      assert.deepEqual(await store.listStaleClients(later, 100), []);
    });
  });

  describe(`${name}: life`, () => {
    test("a working store is healthy, and a stopped one says what it is", async (t) => {
      const store = await createStore(t);
      assert.deepEqual(store.health(), { status: "ok" });
      assert.deepEqual(await store.checkHealth(), { status: "ok" });
      const last = store.saveMessage(sampleMessage("t"));
      await store.stop();
      await last;
      assert.equal(store.health().status, "error");
      assert.equal((await store.checkHealth()).status, "error");
      await assert.rejects(store.saveMessage(sampleMessage("t")), { code: "STORE_UNAVAILABLE" });
      await assert.rejects(store.readPage({ topicFilter: "t", maxMessages: 1, maxBytes: 1 }), {
        code: "STORE_UNAVAILABLE",
      });
      await store.stop();
    });
  });
}
