// Reason Strings: who gets them, and what leaves them out (MQTT 5, 3.1.2.11.7 and each acknowledgement's 2.2).

import assert from "node:assert/strict";
import { encodePacket } from "../../../src/mqtt/codec/encoder.ts";
import type { Packet } from "../../../src/mqtt/codec/packets.ts";
import { ReasonCode } from "../../../src/mqtt/reason-code.ts";
import type { PacketOf, RawClient } from "../../broker/raw-client.ts";
import { type ConformanceCase, sendHex } from "../conformance-case.ts";

type Answer = PacketOf<"puback" | "pubrec" | "pubrel" | "pubcomp" | "suback" | "unsuback">;

/** One answer of each kind that is no plain success; two where the broker has different ways to give it. */
async function unsuccessfulAnswers(client: RawClient): Promise<Answer[]> {
  const answers: Answer[] = [];
  const code = (answer: Answer): number | undefined =>
    "reasonCodes" in answer ? answer.reasonCodes[0] : answer.reasonCode;
  const add = (answer: Answer, reasonCode: ReasonCode): void => {
    assert.equal(code(answer), reasonCode);
    answers.push(answer);
  };
  for (const [topic, reasonCode] of [
    ["nobody/wants", ReasonCode.NoMatchingSubscribers],
    ["$SYS/mine", ReasonCode.NotAuthorized],
  ] as const) {
    client.publish(topic, { qos: 1 });
    add(await client.next("puback"), reasonCode);
    client.publish(topic, { qos: 2 });
    add(await client.next("pubrec"), reasonCode);
  }
  client.send({ type: "pubrec", packetId: 700, reasonCode: 0 });
  add(await client.next("pubrel"), ReasonCode.PacketIdentifierNotFound);
  client.send({ type: "pubrel", packetId: 701, reasonCode: 0 });
  add(await client.next("pubcomp"), ReasonCode.PacketIdentifierNotFound);
  client.sendSubscribe([{ topicFilter: "#/a" }]);
  add(await client.next("suback"), ReasonCode.TopicFilterInvalid);
  client.send({ type: "unsubscribe", packetId: 702, topicFilters: ["x"] });
  add(await client.next("unsuback"), ReasonCode.NoSubscriptionExisted);
  return answers;
}

function reasonOf(packet: Packet): string | undefined {
  return (
    packet.type !== "pingreq" && "properties" in packet && packet.properties !== undefined
      ? (packet.properties as { reasonString?: string })
      : {}
  ).reasonString;
}

export const cases: readonly ConformanceCase[] = [
  {
    title: "every answer that is no plain success says why in words, unless the client wants no problem information",
    v5: ["3.1.2-29"],
    run: async ({ connect }) => {
      for (const requestProblemInformation of [undefined, true]) {
        const client = await connect("c", { properties: { requestProblemInformation } });
        for (const answer of await unsuccessfulAnswers(client)) assert.match(String(reasonOf(answer)), /^[A-Z].+\.$/);
      }
      const client = await connect("c", { properties: { requestProblemInformation: false } });
      for (const answer of await unsuccessfulAnswers(client)) assert.equal(answer.properties, undefined, answer.type);
    },
  },
  {
    title: "one Reason String serves all filters of a SUBSCRIBE or UNSUBSCRIBE, and success has none",
    v5: ["3.9.3-1", "3.11.3-1"],
    run: async ({ connect }) => {
      const client = await connect("c");
      client.sendSubscribe([{ topicFilter: "a" }, { topicFilter: "b+" }, { topicFilter: "#/c" }]);
      const suback = await client.next("suback");
      assert.deepEqual(suback.reasonCodes, [1, ReasonCode.TopicFilterInvalid, ReasonCode.TopicFilterInvalid]);
      assert.match(String(reasonOf(suback)), /^2 topic filters are refused\. The first: .*"b\+"/);
      client.send({ type: "unsubscribe", packetId: 9, topicFilters: ["a", "b", "c"] });
      assert.match(String(reasonOf(await client.next("unsuback"))), /2 of the topic filters/);
      client.sendSubscribe([{ topicFilter: "a" }]);
      assert.equal(reasonOf(await client.next("suback")), undefined);
      client.publish("a", { qos: 2 });
      await client.next("publish");
      const pubrec = await client.next("pubrec");
      assert.deepEqual([pubrec.reasonCode, reasonOf(pubrec)], [0, undefined]);
    },
  },
  {
    title: "no answer exceeds the Maximum Packet Size with its Reason String: it is left out",
    v5: ["3.4.2-2", "3.5.2-2", "3.6.2-2", "3.7.2-2", "3.9.2-1", "3.11.2-1", "3.1.2-24"],
    run: async ({ connect }) => {
      const maximumPacketSize = 24;
      const client = await connect("c", { properties: { maximumPacketSize } });
      for (const answer of await unsuccessfulAnswers(client)) {
        assert.equal(answer.properties, undefined, answer.type);
        assert.ok(encodePacket(answer, 5).length <= maximumPacketSize);
      }
    },
  },
  {
    title: "CONNACK and DISCONNECT say why in words",
    v5: ["3.1.2-29", "3.2.2-7", "3.14.2-1"],
    run: async ({ connect, fixture }) => {
      for (const requestProblemInformation of [undefined, false]) {
        const refused = await connect("c", { properties: { requestProblemInformation, authenticationMethod: "x" } });
        assert.match(String(reasonOf(refused.connack as Packet)), /Authentication Method/);
        const broken = await connect("c", { properties: { requestProblemInformation } });
        sendHex(broken, "f000");
        assert.match(String(reasonOf(await broken.next("disconnect"))), /AUTH/);
      }
      const taken = await connect("d");
      const other = await connect("d");
      assert.match(String(reasonOf(await taken.next("disconnect"))), /same Client Identifier/);
      await fixture.broker.stop();
      assert.match(String(reasonOf(await other.next("disconnect"))), /stops/);
    },
  },
];
