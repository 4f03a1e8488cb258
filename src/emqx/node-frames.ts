// The frames that the node in EMQX sends: what each has, read and written. (The engine reads them; tests write them.)

import type { Message, QoS } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { FieldReader, type FrameWriter, hex } from "./frame-fields.ts";
import { LinkProtocolError } from "./link-error.ts";
import {
  type MessageField,
  qosOf,
  readMessage,
  readSubscription,
  writeMessage,
  writeSubscription,
} from "./message-fields.ts";

export const NodeOpcode = {
  Hello: 0x01,
  Proof: 0x03,
  Connected: 0x10,
  Disconnected: 0x11,
  Ended: 0x12,
  Subscribed: 0x13,
  Unsubscribed: 0x14,
  Acked: 0x15,
  Delivered: 0x16,
  Dropped: 0x17,
  Missed: 0x18,
  Lost: 0x1a,
  Publish: 0x20,
  NotRouted: 0x21,
  Configure: 0x30,
  Ping: 0x40,
} as const;

/** Why a session will not send a message. */
export const DroppedReason = {
  QueueFull: 1,
  Away: 2,
  NoLocal: 3,
  Expired: 4,
  NoSession: 5,
  GateClosed: 6,
  Other: 255,
} as const;

/** A subscription with the number under which its live messages are held back; 0: they are not. */
export interface GatedSubscription {
  readonly gate: number;
  /** Undefined: its filter is no UTF-8. */
  readonly subscription: SubscriptionRequest | undefined;
}

export interface MessageKey {
  readonly id: MessageId;
  readonly topic: string;
}

export interface ConnectedFrame {
  readonly opcode: typeof NodeOpcode.Connected;
  readonly session: number;
  readonly resumed: boolean;
  readonly clientIdAssigned: boolean;
  /** The session outlives the connection. */
  readonly outlives: boolean;
  readonly toldAgain: boolean;
  /** It has no connection now. */
  readonly away: boolean;
  readonly protocolVersion: 3 | 4 | 5;
  readonly receiveMaximum: number;
  /** 0: none. */
  readonly maximumPacketSize: number;
  /** Ms since the epoch. */
  readonly connectedAt: number;
  /** Undefined: it is no UTF-8. */
  readonly clientId: string | undefined;
  readonly subscriptions: readonly GatedSubscription[];
  readonly unacknowledged: readonly MessageKey[];
}

export interface DisconnectedFrame {
  readonly opcode: typeof NodeOpcode.Disconnected;
  readonly session: number;
  readonly livesOn: boolean;
}

export interface EndedFrame {
  readonly opcode: typeof NodeOpcode.Ended;
  readonly session: number;
}

export interface SubscribedFrame extends GatedSubscription {
  readonly opcode: typeof NodeOpcode.Subscribed;
  readonly session: number;
  readonly isNew: boolean;
}

export interface UnsubscribedFrame {
  readonly opcode: typeof NodeOpcode.Unsubscribed;
  readonly session: number;
  /** Undefined: it is no UTF-8. */
  readonly topicFilter: string | undefined;
}

export interface AckedFrame extends MessageKey {
  readonly opcode: typeof NodeOpcode.Acked;
  readonly session: number;
}

export interface DeliveredFrame extends MessageKey {
  readonly opcode: typeof NodeOpcode.Delivered;
  readonly session: number;
  readonly qos: QoS;
  readonly retained: boolean;
  readonly replayed: boolean;
}

export interface DroppedFrame extends MessageKey {
  readonly opcode: typeof NodeOpcode.Dropped;
  readonly session: number;
  readonly reason: number;
}

export interface MissedFrame {
  readonly opcode: typeof NodeOpcode.Missed;
  readonly session: number;
  readonly topicFilter: string;
  readonly above: number;
  readonly upTo: number;
}

export interface LostFrame {
  readonly opcode: typeof NodeOpcode.Lost;
  readonly session: number;
  /** Of those that CHECK asked about, what the session has not. */
  readonly ids: readonly MessageId[];
}

export interface PublishFrame extends MessageField {
  readonly opcode: typeof NodeOpcode.Publish;
  readonly request: number;
  /** `publish_ack = "async"`: subscribers may have it already. */
  readonly routed: boolean;
}

export interface NotRoutedFrame extends MessageKey {
  readonly opcode: typeof NodeOpcode.NotRouted;
}

export interface ConfigureFrame {
  readonly opcode: typeof NodeOpcode.Configure;
  readonly request: number;
  readonly json: Uint8Array;
}

export interface PingFrame {
  readonly opcode: typeof NodeOpcode.Ping;
  /** Answers that the node has handled on this connection. */
  readonly answers: number;
}

export type NodeFrame =
  | ConnectedFrame
  | DisconnectedFrame
  | EndedFrame
  | SubscribedFrame
  | UnsubscribedFrame
  | AckedFrame
  | DeliveredFrame
  | DroppedFrame
  | MissedFrame
  | LostFrame
  | PublishFrame
  | NotRoutedFrame
  | ConfigureFrame
  | PingFrame;

/** Reads a frame of a node that is welcome. Throws `LinkProtocolError`. */
export function readNodeFrame(bytes: Buffer): NodeFrame {
  const reader = new FieldReader(bytes);
  const frame = readFields(reader);
  reader.end();
  return frame;
}

function readFields(reader: FieldReader): NodeFrame {
  const { opcode } = reader;
  switch (opcode) {
    case NodeOpcode.Publish: {
      const request = reader.u32();
      const routed = (reader.u8() & 1) !== 0;
      const { message, isText } = readMessage(reader);
      return { opcode, request, routed, message, isText };
    }
    case NodeOpcode.Acked:
      return { opcode, session: reader.u64(), id: reader.id(), topic: reader.text() };
    case NodeOpcode.Delivered: {
      const session = reader.u64();
      const flags = reader.u8();
      const told = { qos: qosOf(flags), retained: (flags & 0b100) !== 0, replayed: (flags & 0b1000) !== 0 };
      return { opcode, session, ...told, id: reader.id(), topic: reader.text() };
    }
    case NodeOpcode.Dropped:
      return { opcode, session: reader.u64(), reason: reader.u8(), id: reader.id(), topic: reader.text() };
    case NodeOpcode.Connected:
      return readConnected(reader);
    case NodeOpcode.Disconnected:
      return { opcode, session: reader.u64(), livesOn: (reader.u8() & 1) !== 0 };
    case NodeOpcode.Ended:
      return { opcode, session: reader.u64() };
    case NodeOpcode.Subscribed: {
      const session = reader.u64();
      const isNew = (reader.u8() & 1) !== 0;
      return { opcode, session, isNew, gate: reader.u32(), subscription: readSubscription(reader) };
    }
    case NodeOpcode.Unsubscribed:
      return { opcode, session: reader.u64(), topicFilter: reader.textOrNone() };
    case NodeOpcode.Missed: {
      const session = reader.u64();
      const topicFilter = reader.text();
      return { opcode, session, topicFilter, above: reader.u64Rounded(), upTo: reader.u64Rounded() };
    }
    case NodeOpcode.Lost:
      return { opcode, session: reader.u64(), ids: reader.list(() => reader.id()) };
    case NodeOpcode.NotRouted:
      return { opcode, id: reader.id(), topic: reader.text() };
    case NodeOpcode.Configure:
      return { opcode, request: reader.u32(), json: reader.bytes() };
    case NodeOpcode.Ping:
      return { opcode, answers: reader.u64() };
    default:
      throw new LinkProtocolError(`the frame ${hex(opcode)} is none that a node sends`);
  }
}

function readConnected(reader: FieldReader): ConnectedFrame {
  const session = reader.u64();
  const flags = reader.u8();
  const protocolVersion = reader.u8();
  if (protocolVersion !== 3 && protocolVersion !== 4 && protocolVersion !== 5) {
    throw new LinkProtocolError(`there is no protocol version ${protocolVersion} of MQTT`);
  }
  return {
    opcode: NodeOpcode.Connected,
    session,
    resumed: (flags & 1) !== 0,
    clientIdAssigned: (flags & 2) !== 0,
    outlives: (flags & 4) !== 0,
    toldAgain: (flags & 8) !== 0,
    away: (flags & 16) !== 0,
    protocolVersion,
    receiveMaximum: reader.u16(),
    maximumPacketSize: reader.u32(),
    connectedAt: reader.u64(),
    clientId: reader.textOrNone(),
    subscriptions: reader.list(() => ({ gate: reader.u32(), subscription: readSubscription(reader) })),
    unacknowledged: reader.list(() => ({ id: reader.id(), topic: reader.text() })),
  };
}

/** What `writeNodeFrame` writes: all texts are given. */
export function writeNodeFrame(writer: FrameWriter, frame: NodeFrame): void {
  writer.begin(frame.opcode);
  switch (frame.opcode) {
    case NodeOpcode.Publish:
      writer.u32(frame.request).u8(frame.routed ? 1 : 0);
      writeMessage(writer, frame.message);
      break;
    case NodeOpcode.Acked:
      writer.u64(frame.session).id(frame.id).text(frame.topic);
      break;
    case NodeOpcode.Delivered:
      writer.u64(frame.session).u8(frame.qos | (frame.retained ? 4 : 0) | (frame.replayed ? 8 : 0));
      writer.id(frame.id).text(frame.topic);
      break;
    case NodeOpcode.Dropped:
      writer.u64(frame.session).u8(frame.reason).id(frame.id).text(frame.topic);
      break;
    case NodeOpcode.Connected:
      writeConnected(writer, frame);
      break;
    case NodeOpcode.Disconnected:
      writer.u64(frame.session).u8(frame.livesOn ? 1 : 0);
      break;
    case NodeOpcode.Ended:
      writer.u64(frame.session);
      break;
    case NodeOpcode.Subscribed:
      writer.u64(frame.session).u8(frame.isNew ? 1 : 0);
      writeGated(writer, frame);
      break;
    case NodeOpcode.Unsubscribed:
      writer.u64(frame.session).text(frame.topicFilter ?? "");
      break;
    case NodeOpcode.Missed:
      writer.u64(frame.session).text(frame.topicFilter).u64(frame.above).u64(frame.upTo);
      break;
    case NodeOpcode.Lost:
      writer.u64(frame.session).list(frame.ids, (id) => writer.id(id));
      break;
    case NodeOpcode.NotRouted:
      writer.id(frame.id).text(frame.topic);
      break;
    case NodeOpcode.Configure:
      writer.u32(frame.request).bytes(frame.json);
      break;
    case NodeOpcode.Ping:
      writer.u64(frame.answers);
      break;
  }
  writer.end();
}

function writeConnected(writer: FrameWriter, frame: ConnectedFrame): void {
  const flags =
    (frame.resumed ? 1 : 0) |
    (frame.clientIdAssigned ? 2 : 0) |
    (frame.outlives ? 4 : 0) |
    (frame.toldAgain ? 8 : 0) |
    (frame.away ? 16 : 0);
  writer.u64(frame.session).u8(flags).u8(frame.protocolVersion).u16(frame.receiveMaximum);
  writer
    .u32(frame.maximumPacketSize)
    .u64(frame.connectedAt)
    .text(frame.clientId ?? "");
  writer.list(frame.subscriptions, (subscription) => writeGated(writer, subscription));
  writer.list(frame.unacknowledged, ({ id, topic }) => writer.id(id).text(topic));
}

function writeGated(writer: FrameWriter, { gate, subscription }: GatedSubscription): void {
  if (subscription === undefined) throw new Error("a subscription is written with its filter");
  writer.u32(gate);
  writeSubscription(writer, subscription);
}

/** The message of a PUBLISH frame, for whoever writes one. */
export function publishFrame(request: number, message: Message, routed = false): PublishFrame {
  return { opcode: NodeOpcode.Publish, request, routed, message, isText: true };
}
