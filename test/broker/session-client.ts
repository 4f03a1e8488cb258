// An MQTT client that keeps its side of a session as the standards ask, over connections that break where a test says.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { PacketDecoder } from "../../src/mqtt/codec/decoder.ts";
import { encodePacket } from "../../src/mqtt/codec/encoder.ts";
import type { Packet, PublishPacket } from "../../src/mqtt/codec/packets.ts";
import { waitFor, within } from "../support/wait-for.ts";

/** Where a connection breaks, in bytes behind CONNECT (sent) or CONNACK (received); absent: nowhere. */
export interface Break {
  readonly afterSent?: number;
  readonly afterReceived?: number;
}

interface Unacknowledged {
  readonly packet: PublishPacket;
  /** PUBREC has come: PUBREL is sent, and PUBLISH never again. */
  released: boolean;
}

export class SessionClient {
  /** Payloads, as they were handed to the application. */
  readonly delivered: string[] = [];
  isConnected = false;
  /** CONNACK said that the broker has the session. */
  sessionPresent = false;
  /** Where the broker listens. */
  port: number;
  readonly #version: 4 | 5;
  readonly #clientId: string;
  /** By Packet Identifier, in the order of sending. */
  readonly #unacknowledged = new Map<number, Unacknowledged>();
  /** Packet Identifiers of QoS 2 messages that are delivered and not released. */
  readonly #received = new Set<number>();
  #socket: Socket | undefined;
  #lastPacketId = 0;
  /** Bytes that may still be sent and received. */
  #toSend = Number.POSITIVE_INFINITY;
  #toReceive = Number.POSITIVE_INFINITY;
  #answers = 0;

  constructor(port: number, clientId: string, version: 4 | 5) {
    this.port = port;
    this.#clientId = clientId;
    this.#version = version;
  }

  /** All that was published is acknowledged to the end. */
  get isDone(): boolean {
    return this.#unacknowledged.size === 0;
  }

  /** Publishes that are not acknowledged to the end. */
  get unacknowledged(): number {
    return this.#unacknowledged.size;
  }

  /** Connects, resumes the session, and sends again what is not acknowledged. */
  async connect({ afterSent, afterReceived }: Break = {}): Promise<void> {
    const socket = connect({ port: this.port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    this.#toSend = Number.POSITIVE_INFINITY;
    this.#toReceive = Number.POSITIVE_INFINITY;
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) this.isConnected = false;
    });
    await within(once(socket, "connect"), { what: "a TCP connection" });
    const connack = this.#read(socket, afterReceived ?? Number.POSITIVE_INFINITY);
    this.#send({
      type: "connect",
      version: this.#version,
      cleanStart: false,
      keepAlive: 0,
      clientId: this.#clientId,
      properties: this.#version === 5 ? { sessionExpiryInterval: 3600 } : undefined,
    });
    await within(connack, { what: "CONNACK" });
    this.#toSend = afterSent ?? Number.POSITIVE_INFINITY;
    for (const [packetId, { packet, released }] of this.#unacknowledged) {
      if (released) this.#send({ type: "pubrel", packetId, reasonCode: 0 });
      else this.#send({ ...packet, dup: true });
    }
  }

  publish(topic: string, qos: 1 | 2, payload: string): void {
    this.#lastPacketId += 1;
    const packetId = this.#lastPacketId;
    const packet: PublishPacket = {
      type: "publish",
      topic,
      qos,
      packetId,
      dup: false,
      retain: false,
      payload: Buffer.from(payload),
    };
    this.#unacknowledged.set(packetId, { packet, released: false });
    this.#send(packet);
  }

  async subscribe(topicFilter: string, qos: 1 | 2): Promise<void> {
    const option = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    this.#lastPacketId += 1;
    this.#send({ type: "subscribe", packetId: this.#lastPacketId, subscriptions: [option] });
    await this.#answered();
  }

  /** Awaits the answer to a ping: what was sent before it is handled, and what came before it is handled too. */
  async ping(): Promise<void> {
    this.#send({ type: "pingreq" });
    await this.#answered();
  }

  async closed(): Promise<void> {
    await waitFor(() => !this.isConnected, { what: "the end of the connection", interval: 1 });
  }

  close(): void {
    this.#socket?.destroy();
  }

  async #answered(): Promise<void> {
    const before = this.#answers;
    await waitFor(() => this.#answers > before, { what: "an answer", interval: 1 });
  }

  /** Settles with CONNACK; what comes behind it is handled until the connection breaks. */
  #read(socket: Socket, limit: number): Promise<void> {
    const decoder = new PacketDecoder({ sender: "server", version: this.#version });
    return new Promise((resolve, reject) => {
      socket.on("close", () => reject(new Error("the connection was closed before CONNACK")));
      socket.on("data", (chunk: Buffer) => {
        const taken = chunk.subarray(0, this.#toReceive);
        this.#toReceive -= taken.length;
        decoder.push(taken);
        for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) {
          if (packet.type !== "connack") {
            this.#handle(packet);
            continue;
          }
          // A client that has no session yet gets nothing in the same chunk; one that resumes counts from the next.
          this.isConnected = true;
          this.sessionPresent = packet.sessionPresent;
          this.#toReceive = limit;
          resolve();
        }
        if (this.#toReceive === 0) socket.destroy();
      });
    });
  }

  #handle(packet: Packet): void {
    switch (packet.type) {
      case "publish":
        this.#publish(packet);
        break;
      case "puback":
      case "pubcomp":
        this.#unacknowledged.delete(packet.packetId);
        break;
      case "pubrec": {
        const sent = this.#unacknowledged.get(packet.packetId);
        if (sent !== undefined) sent.released = true;
        this.#send({ type: "pubrel", packetId: packet.packetId, reasonCode: 0 });
        break;
      }
      case "pubrel":
        this.#received.delete(packet.packetId);
        this.#send({ type: "pubcomp", packetId: packet.packetId, reasonCode: 0 });
        break;
      default:
        this.#answers += 1;
    }
  }

  #publish({ qos, packetId = 0, payload }: PublishPacket): void {
    if (qos < 2 || !this.#received.has(packetId)) this.delivered.push(Buffer.from(payload).toString());
    if (qos === 1) this.#send({ type: "puback", packetId, reasonCode: 0 });
    if (qos < 2) return;
    this.#received.add(packetId);
    this.#send({ type: "pubrec", packetId, reasonCode: 0 });
  }

  /** Nothing of what is beyond the break leaves the client. */
  #send(packet: Packet): void {
    const bytes = encodePacket(packet, this.#version).subarray(0, this.#toSend);
    this.#toSend -= bytes.length;
    if (this.#toSend === 0) this.#socket?.end(bytes);
    else this.#socket?.write(bytes);
  }
}
