// Topic Names and Topic Filters (4.7).

import assert from "node:assert/strict";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import { type ConformanceCase, hexPacket, hexText, sendHex } from "../conformance-case.ts";

export const cases: readonly ConformanceCase[] = [
  {
    title: "filters whose wildcards do not fill a level, or whose # is not the last, are refused",
    v4: ["4.7.1-2", "4.7.1-3", "4.7.3-1"],
    v5: ["4.7.1-1", "4.7.1-2", "4.7.3-1"],
    run: async ({ connect, isV5 }) => {
      const client = await connect("c");
      const failure = isV5 ? ReasonCode.TopicFilterInvalid : 0x80;
      for (const topicFilter of ["#/a", "a#", "a/#b", "##", "a/#/b", "a+", "+a", "a/+b/c", "++", ""]) {
        assert.equal(await client.subscribe(topicFilter), failure, topicFilter);
      }
      for (const topicFilter of ["#", "+", "a/#", "/#", "+/#", "a/+/b", "/+", "+/", "/"]) {
        assert.equal(await client.subscribe(topicFilter), 1, topicFilter);
      }
    },
  },
  {
    title: "each filter matches the topics that it should, and no others",
    v4: ["3.3.2-3", "4.7.3-4"],
    v5: ["3.3.2-3", "4.7.3-4"],
    run: async ({ connect }) => {
      const topics = [
        "a",
        "/",
        "/a",
        "a/",
        "a/b",
        "a//b",
        "a/b/c",
        "A",
        "a ",
        "ä",
        "a\u0308",
        "__proto__",
        "constructor",
      ];
      const expected: Record<string, string[]> = {
        "#": topics,
        "+": ["a", "A", "a ", "ä", "a\u0308", "__proto__", "constructor"],
        "a/#": ["a", "a/", "a/b", "a//b", "a/b/c"],
        "+/+": ["/", "/a", "a/", "a/b"],
        "/+": ["/", "/a"],
        "a/+": ["a/", "a/b"],
        "a/+/b": ["a//b"],
        "+/b/#": ["a/b", "a/b/c"],
        a: ["a"],
        "a ": ["a "],
        ä: ["ä"],
        constructor: ["constructor"],
      };
      for (const [topicFilter, matching] of Object.entries(expected)) {
        const client = await connect("c");
        await client.subscribe(topicFilter, { qos: 0 });
        for (const topic of topics) client.publish(topic, { qos: 0 });
        const got = (await client.ping()).map((packet) => (packet.type === "publish" ? packet.topic : packet.type));
        assert.deepEqual(got, matching, topicFilter);
      }
    },
  },
  {
    title: "a wildcard at the start does not match topics that begin with $, live or retained",
    v4: ["4.7.2-1"],
    v5: ["4.7.2-1"],
    run: async ({ connect }) => {
      const publisher = await connect("p");
      publisher.publish("$x/y", { qos: 0, retain: true, payload: "kept" });
      await publisher.ping();
      const client = await connect("c");
      for (const topicFilter of ["#", "+/y", "+/#"]) await client.subscribe(topicFilter, { qos: 0 });
      publisher.publish("$x/y", { qos: 0, payload: "live" });
      await publisher.ping();
      assert.deepEqual(await client.ping(), []);
      await client.subscribe("$x/#", { qos: 0 });
      await client.nextPayloads(1);
      publisher.publish("$x/y", { qos: 0, payload: "live" });
      assert.deepEqual(await client.nextPayloads(1), ["live"]);
    },
  },
  {
    title: "a topic of 65,535 bytes is published, subscribed to and retained",
    v4: ["4.7.3-3"],
    v5: ["4.7.3-3"],
    run: async ({ connect }) => {
      const client = await connect("c");
      const topic = `${"ä".repeat(32_767)}x`;
      assert.equal(Buffer.byteLength(topic), 65_535);
      assert.equal(await client.subscribe(topic, { qos: 0 }), 0);
      client.publish(topic, { qos: 0, retain: true, payload: "x" });
      assert.equal((await client.next("publish")).topic, topic);
      await client.subscribe(topic, { qos: 0 });
      assert.equal((await client.next("publish")).topic, topic);
    },
  },
  {
    title: "topics are told apart by their characters: no case, accent, space or normal form is folded",
    v4: ["4.7.3-4"],
    v5: ["4.7.3-4"],
    run: async ({ connect }) => {
      const client = await connect("c");
      await client.subscribe("Caf\u00e9", { qos: 0 });
      for (const topic of ["Cafe\u0301", "caf\u00e9", "Caf\u00e9 ", "Cafe", "Caf\u00e9/"])
        client.publish(topic, { qos: 0 });
      assert.deepEqual(await client.ping(), []);
      client.publish("Caf\u00e9", { qos: 0 });
      await client.next("publish");
    },
  },
  {
    title: "names that mean something elsewhere are Client Identifiers, topics, filters and share names like any other",
    v4: ["3.1.3-2", "4.7.3-4"],
    v5: ["3.1.3-2", "4.7.3-4"],
    run: async ({ connect, connectPersistent, isV5, tellsSessionPresent }) => {
      const names = ["__proto__", "constructor", "hasOwnProperty", "length", "-0", "null", " ", "\uffff", "\u{1f600}"];
      for (const name of names) {
        const client = await connectPersistent(name);
        assert.equal(client.connack?.sessionPresent, false, name);
        await client.subscribe(name, { qos: 1 });
        await client.subscribe(`${name}/+`, { qos: 1 });
        if (isV5) await client.subscribe(`$share/${name}/${name}`, { qos: 1 });
        await client.break();
      }
      const publisher = await connect("p");
      for (const name of names) assert.equal(await publisher.publishAcked(name, name, { retain: true }), 0, name);
      for (const name of names) {
        const client = await connectPersistent(name);
        assert.equal(client.connack?.sessionPresent, tellsSessionPresent, name);
        assert.deepEqual(await client.nextPayloads(isV5 ? 2 : 1), isV5 ? [name, name] : [name]);
        assert.deepEqual(await client.ping(), [], name);
      }
      const all = await connect("all");
      await all.subscribe("#");
      assert.deepEqual(await all.nextPayloads(names.length), names);
    },
  },
  {
    title: "an empty filter in UNSUBSCRIBE and an empty topic in PUBLISH are never valid",
    v4: ["4.7.3-1"],
    v5: ["4.7.3-1"],
    run: async ({ connect, ended, isV5 }) => {
      const client = await connect("c");
      sendHex(client, hexPacket("32", hexText(""), "0001", isV5 ? "00" : ""));
      await ended(client, ReasonCode.ProtocolError);
    },
  },
];
