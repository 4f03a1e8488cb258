// Random frames of both directions, for round trips and fuzzing.

import { type Answer, type EngineFrame, EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { type GatedSubscription, type MessageKey, type NodeFrame, NodeOpcode } from "../../src/emqx/node-frames.ts";
import type { Message, QoS, UserProperty } from "../../src/mqtt/message.ts";
import { fromBytes } from "../../src/mqtt/message-id.ts";
import type { SubscriptionRequest } from "../../src/mqtt/subscription.ts";
import type { Random } from "../mqtt/seed.ts";

const TEXTS = ["", "t", "t/1", "größe/ß", "温度/1", "🚀", "a".repeat(300)];

export function randomMessage(random: Random): Message {
  const timestamp = 1_700_000_000_000 + random.below(1_000_000_000);
  const userProperties = Array.from({ length: random.below(3) }, (): UserProperty => [text(random), text(random)]);
  const properties = {
    ...(random.chance(0.3) && { payloadFormatIndicator: random.below(2) as 0 | 1 }),
    ...(random.chance(0.3) && { contentType: text(random) }),
    ...(random.chance(0.3) && { responseTopic: text(random) }),
    ...(random.chance(0.3) && { correlationData: random.bytes(random.below(20)) }),
    ...(userProperties.length > 0 && { userProperties }),
  };
  return {
    id: id(random),
    from: text(random),
    topic: text(random),
    qos: qos(random),
    retain: random.chance(0.3),
    payload: random.bytes(random.below(100)),
    timestamp,
    ...(random.chance(0.3) && { expiresAt: timestamp + 1000 * (1 + random.below(100_000)) }),
    ...(Object.keys(properties).length > 0 && { properties }),
  };
}

export function randomNodeFrame(random: Random): NodeFrame {
  const session = random.below(2 ** 31) * 2 ** 22;
  const key = randomKey(random);
  const choices: readonly (() => NodeFrame)[] = [
    () => ({
      opcode: NodeOpcode.Connected,
      session,
      resumed: random.chance(0.5),
      clientIdAssigned: random.chance(0.5),
      outlives: random.chance(0.5),
      toldAgain: random.chance(0.5),
      away: random.chance(0.5),
      protocolVersion: random.pick([3, 4, 5]),
      receiveMaximum: random.below(65_536),
      maximumPacketSize: random.below(2 ** 31),
      connectedAt: 1_700_000_000_000 + random.below(2 ** 31),
      clientId: text(random),
      subscriptions: Array.from({ length: random.below(3) }, () => gated(random)),
      unacknowledged: Array.from({ length: random.below(3) }, () => randomKey(random)),
    }),
    () => ({ opcode: NodeOpcode.Disconnected, session, livesOn: random.chance(0.5) }),
    () => ({ opcode: NodeOpcode.Ended, session }),
    () => ({ opcode: NodeOpcode.Subscribed, session, isNew: random.chance(0.5), ...gated(random) }),
    () => ({ opcode: NodeOpcode.Unsubscribed, session, topicFilter: text(random) }),
    () => ({ opcode: NodeOpcode.Acked, session, ...key }),
    () => ({
      opcode: NodeOpcode.Delivered,
      session,
      qos: qos(random),
      retained: random.chance(0.5),
      replayed: random.chance(0.5),
      ...key,
    }),
    () => ({ opcode: NodeOpcode.Dropped, session, reason: random.below(256), ...key }),
    () => ({ opcode: NodeOpcode.Missed, session, topicFilter: text(random), above: 0, upTo: 2 ** 63 }),
    () => ({ opcode: NodeOpcode.Lost, session, ids: Array.from({ length: random.below(4) }, () => id(random)) }),
    () => ({
      opcode: NodeOpcode.Publish,
      request: random.below(2 ** 31),
      routed: random.chance(0.5),
      message: randomMessage(random),
      isText: true,
    }),
    () => ({ opcode: NodeOpcode.NotRouted, ...key }),
    () => ({ opcode: NodeOpcode.Configure, request: random.below(2 ** 31), json: random.bytes(random.below(50)) }),
    () => ({ opcode: NodeOpcode.Ping, answers: random.below(2 ** 31) }),
  ];
  return random.pick(choices)();
}

export function randomEngineFrame(random: Random): EngineFrame {
  const session = random.below(2 ** 31) * 2 ** 22;
  const message = randomMessage(random);
  const problem = random.chance(0.5) ? {} : { problem: text(random) };
  const choices: readonly (() => EngineFrame)[] = [
    () => ({
      opcode: EngineOpcode.Answers,
      answers: Array.from({ length: random.below(4) }, () => answer(random)),
    }),
    () => ({
      opcode: EngineOpcode.Deliver,
      session,
      topicFilter: text(random),
      mayBeRetained: random.chance(0.5),
      message,
      now: message.timestamp,
    }),
    () => ({ opcode: EngineOpcode.Live, session, topicFilter: text(random), gate: random.below(2 ** 31), number: 7 }),
    () => ({ opcode: EngineOpcode.Restore, session, subscription: subscription(random) }),
    () => ({ opcode: EngineOpcode.Release, session, number: random.below(2 ** 31) * 2 ** 22 }),
    () => ({
      opcode: EngineOpcode.Check,
      session,
      passed: random.chance(0.5),
      ids: Array.from({ length: random.below(4) }, () => id(random)),
    }),
    () => ({ opcode: EngineOpcode.Configured, request: random.below(2 ** 31), ...problem }),
    () => ({
      opcode: EngineOpcode.Settings,
      topics: Array.from({ length: random.below(4) }, () => text(random)),
      ignoreStoreErrors: random.chance(0.5),
      asyncPublishAck: random.chance(0.5),
      acknowledgeUnstorable: random.chance(0.5),
      timeout: random.below(2 ** 31),
    }),
    () => ({ opcode: EngineOpcode.Health, ...problem }),
    () => ({ opcode: EngineOpcode.Pong }),
    () => ({ opcode: EngineOpcode.Goodbye, why: text(random) }),
  ];
  return random.pick(choices)();
}

function answer(random: Random): Answer {
  const request = random.below(2 ** 31);
  return random.pick<Answer>([
    { request, result: "pass" },
    { request, result: "stored", number: random.below(2 ** 31) * 2 ** 20, reportDeliveries: random.chance(0.5) },
    {
      request,
      result: "refused",
      temporary: random.chance(0.5),
      acknowledge: random.chance(0.5),
      reasonCode: random.below(256),
      delay: random.below(10_001),
    },
  ]);
}

function gated(random: Random): GatedSubscription {
  return { gate: random.below(5), subscription: subscription(random) };
}

function subscription(random: Random): SubscriptionRequest {
  return {
    topicFilter: text(random),
    qos: qos(random),
    noLocal: random.chance(0.5),
    retainAsPublished: random.chance(0.5),
    retainHandling: random.below(3) as 0 | 1 | 2,
    ...(random.chance(0.5) && { subscriptionIdentifier: 1 + random.below(268_435_455) }),
  };
}

function randomKey(random: Random): MessageKey {
  return { id: id(random), topic: text(random) };
}

function id(random: Random): string {
  return fromBytes(random.bytes(16));
}

function text(random: Random): string {
  return random.pick(TEXTS);
}

function qos(random: Random): QoS {
  return random.below(3) as QoS;
}
