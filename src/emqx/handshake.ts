// The start of a connection: who is who, which version is spoken, and the proofs that both have the secret.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { EngineOpcode } from "./engine-frames.ts";
import { FieldReader, FrameWriter, hex, shortText } from "./frame-fields.ts";
import { LinkProtocolError, LinkRefusedError } from "./link-error.ts";
import { NodeOpcode } from "./node-frames.ts";

export const PROTOCOL_VERSION = 1;
/** The longest frame before WELCOME, in bytes. */
export const MAX_HANDSHAKE_FRAME = 4096;
export const MIN_SECRET_BYTES = 16;
export const MAX_SECRET_BYTES = 1024;
export const MAX_CONNECTIONS = 16;

export const RefuseReason = { NoVersion: 1, WrongProof: 2, WrongIndex: 3, TooManyLinks: 4, Stopping: 5 } as const;

const MAGIC = Buffer.from("OMPL");
const NONCE_BYTES = 32;
const INSTANCE_BYTES = 16;
const PROOF_BYTES = 32;

export interface Hello {
  readonly lowestVersion: number;
  readonly highestVersion: number;
  /** Of this connection, from 0. */
  readonly index: number;
  readonly connections: number;
  /** 16 bytes. */
  readonly instance: Uint8Array;
  /** 32 bytes. */
  readonly nonce: Uint8Array;
  readonly nodeName: string;
  readonly emqxVersion: string;
  readonly pluginVersion: string;
}

export interface Challenge {
  readonly version: number;
  readonly instance: Uint8Array;
  readonly nonce: Uint8Array;
}

/** What WELCOME tells besides its proof. */
export interface Terms {
  /** In bytes, as it stands in front of a frame. */
  readonly longestFrame: number;
  readonly windowPublishes: number;
  readonly windowBytes: number;
  /** In ms. */
  readonly heartbeat: number;
  readonly engineVersion: string;
}

/** Reads HELLO. Throws `LinkProtocolError`. */
export function readHello(frame: Buffer): Hello {
  const reader = new FieldReader(frame);
  if (reader.opcode !== NodeOpcode.Hello) throw beforeItsTime(reader.opcode);
  if (!MAGIC.equals(reader.fixed(MAGIC.length))) throw new LinkProtocolError("it does not begin with OMPL");
  const hello: Hello = {
    lowestVersion: reader.u8(),
    highestVersion: reader.u8(),
    index: reader.u8(),
    connections: reader.u8(),
    instance: Buffer.from(reader.fixed(INSTANCE_BYTES)),
    nonce: Buffer.from(reader.fixed(NONCE_BYTES)),
    nodeName: reader.text(),
    emqxVersion: reader.text(),
    pluginVersion: reader.text(),
  };
  reader.end();
  if (hello.connections < 1 || hello.connections > MAX_CONNECTIONS) {
    throw new LinkProtocolError(`a link has 1 to ${MAX_CONNECTIONS} connections, not ${hello.connections}`);
  }
  if (hello.index >= hello.connections) {
    throw new LinkProtocolError(`there is no connection ${hello.index} of ${hello.connections}`);
  }
  return hello;
}

export function writeHello(writer: FrameWriter, hello: Hello): void {
  writer.begin(NodeOpcode.Hello).fixed(MAGIC).u8(hello.lowestVersion).u8(hello.highestVersion);
  writer.u8(hello.index).u8(hello.connections).fixed(hello.instance).fixed(hello.nonce);
  writer.text(hello.nodeName).text(hello.emqxVersion).text(hello.pluginVersion).end();
}

/** The version to speak. Throws `LinkRefusedError` when there is none that both know. */
export function commonVersion({ lowestVersion, highestVersion, pluginVersion }: Hello, ours: string): number {
  if (lowestVersion <= PROTOCOL_VERSION && highestVersion >= PROTOCOL_VERSION) return PROTOCOL_VERSION;
  throw new LinkRefusedError(
    RefuseReason.NoVersion,
    `The engine ${ours} speaks version ${PROTOCOL_VERSION} of the link, and the plugin ${pluginVersion} in EMQX versions ${lowestVersion} to ${highestVersion}: install the same release of both.`,
  );
}

export function writeChallenge(writer: FrameWriter, { version, instance, nonce }: Challenge): void {
  writer.begin(EngineOpcode.Challenge).fixed(MAGIC).u8(version).fixed(instance).fixed(nonce).end();
}

/** Reads CHALLENGE, or throws the `LinkRefusedError` that REFUSE tells. */
export function readChallenge(frame: Buffer): Challenge {
  const reader = new FieldReader(frame);
  if (reader.opcode === EngineOpcode.Refuse) throw readRefuse(reader);
  if (reader.opcode !== EngineOpcode.Challenge) throw beforeItsTime(reader.opcode);
  if (!MAGIC.equals(reader.fixed(MAGIC.length))) throw new LinkProtocolError("it does not begin with OMPL");
  const version = reader.u8();
  const instance = Buffer.from(reader.fixed(INSTANCE_BYTES));
  const nonce = Buffer.from(reader.fixed(NONCE_BYTES));
  reader.end();
  return { version, instance, nonce };
}

export function writeProof(writer: FrameWriter, proof: Uint8Array): void {
  writer.begin(NodeOpcode.Proof).fixed(proof).end();
}

/** Reads PROOF and compares it in constant time. Throws `LinkRefusedError` when it is wrong. */
export function checkProof(secret: Uint8Array, hello: Buffer, challenge: Buffer, frame: Buffer): void {
  const reader = new FieldReader(frame);
  if (reader.opcode !== NodeOpcode.Proof) throw beforeItsTime(reader.opcode);
  const proof = reader.fixed(PROOF_BYTES);
  reader.end();
  if (timingSafeEqual(proof, nodeProof(secret, hello, challenge))) return;
  throw new LinkRefusedError(
    RefuseReason.WrongProof,
    "The plugin in EMQX has another secret than the engine: give both the same.",
  );
}

export function nodeProof(secret: Uint8Array, hello: Buffer, challenge: Buffer): Buffer {
  return mac(secret, "omp-link node\0", hello, challenge);
}

export function engineProof(secret: Uint8Array, hello: Buffer, challenge: Buffer, proof: Buffer): Buffer {
  return mac(secret, "omp-link engine\0", hello, challenge, proof);
}

/** Each frame is its opcode and fields, without the length. */
function mac(secret: Uint8Array, name: string, ...frames: readonly Buffer[]): Buffer {
  const hmac = createHmac("sha256", secret).update(name);
  for (const frame of frames) hmac.update(frame);
  return hmac.digest();
}

export function writeWelcome(writer: FrameWriter, proof: Uint8Array, terms: Terms): void {
  writer.begin(EngineOpcode.Welcome).fixed(proof).u32(terms.longestFrame).u32(terms.windowPublishes);
  writer.u32(terms.windowBytes).u16(terms.heartbeat).text(terms.engineVersion).end();
}

/** Reads WELCOME, or throws the `LinkRefusedError` that REFUSE tells. */
export function readWelcome(frame: Buffer): Terms & { readonly proof: Buffer } {
  const reader = new FieldReader(frame);
  if (reader.opcode === EngineOpcode.Refuse) throw readRefuse(reader);
  if (reader.opcode !== EngineOpcode.Welcome) throw beforeItsTime(reader.opcode);
  const welcome = {
    proof: Buffer.from(reader.fixed(PROOF_BYTES)),
    longestFrame: reader.u32(),
    windowPublishes: reader.u32(),
    windowBytes: reader.u32(),
    heartbeat: reader.u16(),
    engineVersion: reader.text(),
  };
  reader.end();
  return welcome;
}

export function writeRefuse(writer: FrameWriter, { reason, message }: LinkRefusedError): void {
  writer.begin(EngineOpcode.Refuse).u8(reason).text(shortText(message)).end();
}

function readRefuse(reader: FieldReader): LinkRefusedError {
  const reason = reader.u8();
  const message = reader.text();
  reader.end();
  return new LinkRefusedError(reason, message);
}

export function newNonce(): Buffer {
  return randomBytes(NONCE_BYTES);
}

/** Names one start of an engine or of a plugin in EMQX. */
export function newInstance(): Buffer {
  return randomBytes(INSTANCE_BYTES);
}

function beforeItsTime(opcode: number): LinkProtocolError {
  return new LinkProtocolError(`the frame ${hex(opcode)} comes before its time`);
}

/** What one call wrote as a frame without its length. */
export function frameOf(write: (writer: FrameWriter) => void): { readonly sent: Buffer; readonly frame: Buffer } {
  const writer = new FrameWriter();
  write(writer);
  const sent = writer.take();
  return { sent, frame: sent.subarray(4) };
}
