// An MQTT client for tests that does nothing of its own accord: every packet is sent and awaited by hand.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { PacketDecoder } from "../../src/mqtt/codec/decoder.ts";
import { encodePacket } from "../../src/mqtt/codec/encoder.ts";
import type {
  ConnackPacket,
  ConnectPacket,
  Packet,
  PacketType,
  ProtocolVersion,
  PublishPacket,
  RequestedSubscription,
  SubackPacket,
} from "../../src/mqtt/codec/packets.ts";
import type { QoS } from "../../src/mqtt/message.ts";
import { waitFor, within } from "../support/wait-for.ts";

export type PacketOf<Type extends PacketType> = Extract<Packet, { type: Type }>;

export interface PublishOptions extends Partial<Omit<PublishPacket, "type" | "payload">> {
  readonly payload?: string | Uint8Array;
}

export class RawClient {
  readonly version: ProtocolVersion;
  readonly socket: Socket;
  /** Packets that no test has asked for yet. */
  readonly waiting: Packet[] = [];
  /** The connection has ended. */
  isClosed = false;
  connack: ConnackPacket | undefined;
  readonly #decoder: PacketDecoder;
  #lastPacketId = 0;

  private constructor(port: number, version: ProtocolVersion) {
    this.version = version;
    this.#decoder = new PacketDecoder({ sender: "server", version, maxPacketSize: 16 * 1024 * 1024 });
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.on("data", (chunk) => {
      this.#decoder.push(chunk);
      for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
        this.waiting.push(packet);
      }
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.isClosed = true;
    });
  }

  /** Opens a socket and sends nothing. */
  static async open(port: number, version: ProtocolVersion = 5): Promise<RawClient> {
    const client = new RawClient(port, version);
    await within(once(client.socket, "connect"), { what: "a TCP connection" });
    return client;
  }

  /** Connects and awaits CONNACK, whatever it says. */
  static async connect(port: number, options: Partial<Omit<ConnectPacket, "type">> = {}): Promise<RawClient> {
    const client = await RawClient.open(port, options.version ?? 5);
    client.send({ type: "connect", version: 5, cleanStart: true, keepAlive: 0, clientId: "", ...options });
    client.connack = await client.next("connack");
    return client;
  }

  send(...packets: Packet[]): void {
    this.socket.write(Buffer.concat(packets.map((packet) => encodePacket(packet, this.version))));
  }

  /** Awaits the next packet, which must be of that type. */
  async next<Type extends PacketType>(type: Type): Promise<PacketOf<Type>> {
    await waitFor(() => this.waiting.length > 0 || this.isClosed, { what: `a ${type} packet`, interval: 1 });
    const packet = this.waiting.shift();
    if (packet === undefined) throw new Error(`the connection ended instead of a ${type} packet`);
    if (packet.type !== type) throw new Error(`not a ${type} packet but ${JSON.stringify(packet)}`);
    return packet as PacketOf<Type>;
  }

  /** Awaits that many PUBLISH packets and returns their payloads. */
  async nextPayloads(count: number): Promise<string[]> {
    const payloads: string[] = [];
    while (payloads.length < count) payloads.push(text(await this.next("publish")));
    return payloads;
  }

  /** Sends a ping and returns what came before its answer: so nothing else was on its way. */
  async ping(): Promise<Packet[]> {
    this.send({ type: "pingreq" });
    await waitFor(() => this.waiting.some(({ type }) => type === "pingresp") || this.isClosed, { what: "a pingresp" });
    const at = this.waiting.findIndex(({ type }) => type === "pingresp");
    if (at < 0) throw new Error("the connection ended instead of a pingresp");
    return this.waiting.splice(0, at + 1).slice(0, at);
  }

  async closed(timeout?: number): Promise<void> {
    await waitFor(() => this.isClosed, { what: "the end of the connection", timeout, interval: 1 });
  }

  publishPacket(topic: string, options: PublishOptions = {}): PublishPacket {
    const qos: QoS = options.qos ?? 1;
    if (qos > 0) this.#lastPacketId += 1;
    return {
      type: "publish",
      topic,
      retain: false,
      dup: false,
      packetId: qos > 0 ? this.#lastPacketId : undefined,
      ...options,
      qos,
      payload: Buffer.from(options.payload ?? ""),
    };
  }

  /** Sends a PUBLISH, QoS 1 unless told otherwise, and returns its Packet Identifier. */
  publish(topic: string, options: PublishOptions = {}): number {
    const packet = this.publishPacket(topic, options);
    this.send(packet);
    return packet.packetId ?? 0;
  }

  /** Publishes with QoS 1 and awaits PUBACK; returns its Reason Code. */
  async publishAcked(topic: string, payload = "", options: PublishOptions = {}): Promise<number> {
    this.publish(topic, { payload, ...options });
    return (await this.next("puback")).reasonCode;
  }

  async subscribe(topicFilter: string, options: Partial<RequestedSubscription> = {}, identifier?: number) {
    this.sendSubscribe([{ topicFilter, ...options }], identifier);
    const suback: SubackPacket = await this.next("suback");
    return suback.reasonCodes[0];
  }

  sendSubscribe(
    requests: readonly (Partial<RequestedSubscription> & { topicFilter: string })[],
    subscriptionIdentifier?: number,
  ): void {
    this.#lastPacketId += 1;
    this.send({
      type: "subscribe",
      packetId: this.#lastPacketId,
      subscriptions: requests.map((request) => ({
        qos: 1,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0,
        ...request,
      })),
      properties: subscriptionIdentifier === undefined ? undefined : { subscriptionIdentifier },
    });
  }

  async unsubscribe(topicFilter: string): Promise<number | undefined> {
    this.#lastPacketId += 1;
    this.send({ type: "unsubscribe", packetId: this.#lastPacketId, topicFilters: [topicFilter] });
    return (await this.next("unsuback")).reasonCodes[0];
  }

  puback(packetId: number | undefined): void {
    this.send({ type: "puback", packetId: packetId as number, reasonCode: 0 });
  }

  /** Says goodbye and awaits the end. */
  async disconnect(reasonCode = 0): Promise<void> {
    this.send({ type: "disconnect", reasonCode });
    await this.closed();
  }

  /** Breaks the connection and awaits its end. */
  async break(): Promise<void> {
    this.socket.resetAndDestroy();
    await this.closed();
  }
}

export function text(packet: PublishPacket): string {
  return Buffer.from(packet.payload).toString();
}
