// The frames that the engine sends: what each has, written and read. (The engine writes them; tests read them.)

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { FieldReader, type FrameWriter, hex, shortText } from "./frame-fields.ts";
import { LinkProtocolError } from "./link-error.ts";
import { readMessage, readSubscription, writeMessage, writeSubscription } from "./message-fields.ts";

export const EngineOpcode = {
  Challenge: 0x02,
  Welcome: 0x04,
  Refuse: 0x05,
  Answers: 0x50,
  Deliver: 0x51,
  Live: 0x52,
  Restore: 0x53,
  Release: 0x54,
  Check: 0x56,
  Configured: 0x60,
  Settings: 0x61,
  Health: 0x62,
  Pong: 0x70,
  Goodbye: 0x71,
} as const;

/** In one ANSWERS frame. */
export const MAX_ANSWERS = 1024;
/** Messages in one CHECK frame. */
export const MAX_CHECKED = 1024;
/** In ms. */
export const MAX_REFUSAL_DELAY = 10_000;

const PASS = 0;
const STORED = 1;
const REFUSED = 2;

/** What becomes of the PUBLISH with this request number. */
export type Answer =
  | { readonly request: number; readonly result: "pass" }
  | {
      readonly request: number;
      readonly result: "stored";
      readonly number: number;
      /** Whoever is sent it is to be told in DELIVERED. */
      readonly reportDeliveries: boolean;
    }
  | {
      readonly request: number;
      readonly result: "refused";
      readonly temporary: boolean;
      /** A publisher without reason codes gets an acknowledgement. */
      readonly acknowledge: boolean;
      readonly reasonCode: number;
      /** In ms, up to `MAX_REFUSAL_DELAY`. */
      readonly delay: number;
    };

export interface AnswersFrame {
  readonly opcode: typeof EngineOpcode.Answers;
  readonly answers: readonly Answer[];
}

export interface DeliverFrame {
  readonly opcode: typeof EngineOpcode.Deliver;
  readonly session: number;
  readonly topicFilter: string;
  /** It may be on its way as a retained message. */
  readonly mayBeRetained: boolean;
  readonly message: Message;
  /** Ms since the epoch, from which the Message Expiry Interval is counted. */
  readonly now: number;
}

export interface LiveFrame {
  readonly opcode: typeof EngineOpcode.Live;
  readonly session: number;
  readonly topicFilter: string;
  readonly gate: number;
  readonly number: number;
}

export interface RestoreFrame {
  readonly opcode: typeof EngineOpcode.Restore;
  readonly session: number;
  readonly subscription: SubscriptionRequest;
}

export interface ReleaseFrame {
  readonly opcode: typeof EngineOpcode.Release;
  readonly session: number;
  /** The last that was given when the engine learnt that the session is away. */
  readonly number: number;
}

export interface CheckFrame {
  readonly opcode: typeof EngineOpcode.Check;
  readonly session: number;
  /** What was pushed later has been acknowledged already. */
  readonly passed: boolean;
  /** Messages that the session counts as having, at most `MAX_CHECKED`. */
  readonly ids: readonly MessageId[];
}

export interface ConfiguredFrame {
  readonly opcode: typeof EngineOpcode.Configured;
  readonly request: number;
  /** What is wrong, for people; absent: it is well. */
  readonly problem?: string;
}

export interface Settings {
  readonly topics: readonly string[];
  /** `on_store_error = "ignore"`. */
  readonly ignoreStoreErrors: boolean;
  /** `publish_ack = "async"`. */
  readonly asyncPublishAck: boolean;
  /** `on_unstorable = "acknowledge"`. */
  readonly acknowledgeUnstorable: boolean;
  /** How long the node waits for an answer, in ms. */
  readonly timeout: number;
}

export interface SettingsFrame extends Settings {
  readonly opcode: typeof EngineOpcode.Settings;
}

export interface HealthFrame {
  readonly opcode: typeof EngineOpcode.Health;
  /** For people; absent: it is well. */
  readonly problem?: string;
}

export interface PongFrame {
  readonly opcode: typeof EngineOpcode.Pong;
}

export interface GoodbyeFrame {
  readonly opcode: typeof EngineOpcode.Goodbye;
  readonly why: string;
}

export type EngineFrame =
  | AnswersFrame
  | DeliverFrame
  | LiveFrame
  | RestoreFrame
  | ReleaseFrame
  | CheckFrame
  | ConfiguredFrame
  | SettingsFrame
  | HealthFrame
  | PongFrame
  | GoodbyeFrame;

/** Writes one frame; returns its length. */
export function writeEngineFrame(writer: FrameWriter, frame: EngineFrame): number {
  writer.begin(frame.opcode);
  switch (frame.opcode) {
    case EngineOpcode.Answers:
      writer.list(frame.answers, (answer) => writeAnswer(writer, answer));
      break;
    case EngineOpcode.Deliver:
      writer
        .u64(frame.session)
        .text(frame.topicFilter)
        .u8(frame.mayBeRetained ? 1 : 0);
      writeMessage(writer, frame.message, frame.now);
      break;
    case EngineOpcode.Live:
      writer.u64(frame.session).text(frame.topicFilter).u32(frame.gate).u64(frame.number);
      break;
    case EngineOpcode.Restore:
      writer.u64(frame.session);
      writeSubscription(writer, frame.subscription);
      break;
    case EngineOpcode.Release:
      writer.u64(frame.session).u64(frame.number);
      break;
    case EngineOpcode.Check:
      writer.u64(frame.session).u8(frame.passed ? 1 : 0);
      writer.list(frame.ids, (id) => writer.id(id));
      break;
    case EngineOpcode.Configured:
      writer.u32(frame.request);
      writeProblem(writer, frame.problem);
      break;
    case EngineOpcode.Settings:
      writer.list(frame.topics, (topic) => writer.text(topic));
      writer
        .u8((frame.ignoreStoreErrors ? 1 : 0) | (frame.asyncPublishAck ? 2 : 0) | (frame.acknowledgeUnstorable ? 4 : 0))
        .u32(frame.timeout);
      break;
    case EngineOpcode.Health:
      writeProblem(writer, frame.problem);
      break;
    case EngineOpcode.Pong:
      break;
    case EngineOpcode.Goodbye:
      writer.text(shortText(frame.why));
      break;
  }
  return writer.end();
}

function writeProblem(writer: FrameWriter, problem: string | undefined): void {
  writer.u8(problem === undefined ? 1 : 0).text(shortText(problem ?? ""));
}

function writeAnswer(writer: FrameWriter, answer: Answer): void {
  writer.u32(answer.request);
  switch (answer.result) {
    case "pass":
      writer.u8(PASS);
      break;
    case "stored":
      writer
        .u8(STORED)
        .u64(answer.number)
        .u8(answer.reportDeliveries ? 1 : 0);
      break;
    case "refused":
      writer.u8(REFUSED).u8((answer.temporary ? 1 : 0) | (answer.acknowledge ? 2 : 0));
      writer.u8(answer.reasonCode).u16(Math.min(answer.delay, MAX_REFUSAL_DELAY));
      break;
  }
}

/** Reads a frame of an engine after WELCOME. `now` of a DELIVER is the message's timestamp. Throws `LinkProtocolError`. */
export function readEngineFrame(bytes: Buffer): EngineFrame {
  const reader = new FieldReader(bytes);
  const frame = readFields(reader);
  reader.end();
  return frame;
}

function readFields(reader: FieldReader): EngineFrame {
  const { opcode } = reader;
  switch (opcode) {
    case EngineOpcode.Answers:
      return { opcode, answers: reader.list(() => readAnswer(reader)) };
    case EngineOpcode.Deliver: {
      const session = reader.u64();
      const topicFilter = reader.text();
      const mayBeRetained = (reader.u8() & 1) !== 0;
      const { message } = readMessage(reader);
      return { opcode, session, topicFilter, mayBeRetained, message, now: message.timestamp };
    }
    case EngineOpcode.Live:
      return { opcode, session: reader.u64(), topicFilter: reader.text(), gate: reader.u32(), number: reader.u64() };
    case EngineOpcode.Restore: {
      const session = reader.u64();
      const subscription = readSubscription(reader);
      if (subscription === undefined) throw new LinkProtocolError("a filter is no UTF-8");
      return { opcode, session, subscription };
    }
    case EngineOpcode.Release:
      return { opcode, session: reader.u64(), number: reader.u64() };
    case EngineOpcode.Check: {
      const session = reader.u64();
      const passed = (reader.u8() & 1) !== 0;
      return { opcode, session, passed, ids: reader.list(() => reader.id()) };
    }
    case EngineOpcode.Configured:
      return { opcode, request: reader.u32(), ...readProblem(reader) };
    case EngineOpcode.Settings: {
      const topics = reader.list(() => reader.text());
      const flags = reader.u8();
      return {
        opcode,
        topics,
        ignoreStoreErrors: (flags & 1) !== 0,
        asyncPublishAck: (flags & 2) !== 0,
        acknowledgeUnstorable: (flags & 4) !== 0,
        timeout: reader.u32(),
      };
    }
    case EngineOpcode.Health:
      return { opcode, ...readProblem(reader) };
    case EngineOpcode.Pong:
      return { opcode };
    case EngineOpcode.Goodbye:
      return { opcode, why: reader.text() };
    default:
      throw new LinkProtocolError(`the frame ${hex(opcode)} is none that an engine sends`);
  }
}

function readProblem(reader: FieldReader): { problem?: string } {
  const isWell = reader.u8() !== 0;
  const problem = reader.text();
  return isWell ? {} : { problem };
}

function readAnswer(reader: FieldReader): Answer {
  const request = reader.u32();
  const result = reader.u8();
  switch (result) {
    case PASS:
      return { request, result: "pass" };
    case STORED:
      return { request, result: "stored", number: reader.u64(), reportDeliveries: (reader.u8() & 1) !== 0 };
    case REFUSED: {
      const flags = reader.u8();
      const temporary = (flags & 1) !== 0;
      const acknowledge = (flags & 2) !== 0;
      return { request, result: "refused", temporary, acknowledge, reasonCode: reader.u8(), delay: reader.u16() };
    }
    default:
      throw new LinkProtocolError(`there is no result ${result} of a publish`);
  }
}
