// An MQTT client over WebSocket for tests: every frame is sent by hand.

import { once } from "node:events";
import type { Socket } from "node:net";
import { type ClientOptions, WebSocket } from "ws";
import { PacketDecoder } from "../../src/mqtt/codec/decoder.ts";
import { encodePacket } from "../../src/mqtt/codec/encoder.ts";
import type { ConnectPacket, Packet, PacketType, ProtocolVersion } from "../../src/mqtt/codec/packets.ts";
import { waitFor, within } from "../support/wait-for.ts";
import type { PacketOf } from "./raw-client.ts";

export class WebSocketClient {
  readonly webSocket: WebSocket;
  readonly waiting: Packet[] = [];
  /** The code of RFC 6455 that it was closed with; 1006: with none. */
  closeCode: number | undefined;

  private constructor(url: string, protocols: readonly string[], version: ProtocolVersion) {
    const decoder = new PacketDecoder({ sender: "server", version, maxPacketSize: 16 * 1024 * 1024 });
    this.webSocket = new WebSocket(url, [...protocols], { perMessageDeflate: true });
    this.webSocket.on("message", (data) => {
      decoder.push(data as Buffer);
      for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) this.waiting.push(packet);
    });
    this.webSocket.on("error", () => {});
    this.webSocket.on("close", (code) => {
      this.closeCode = code;
    });
  }

  /** Opens a WebSocket and sends nothing. */
  static async open(
    url: string,
    protocols: readonly string[] = ["mqtt"],
    version: ProtocolVersion = 5,
  ): Promise<WebSocketClient> {
    const client = new WebSocketClient(url, protocols, version);
    await within(once(client.webSocket, "open"), { what: "a WebSocket" });
    return client;
  }

  /** Opens a WebSocket, connects and awaits CONNACK. */
  static async connect(url: string, options: Partial<Omit<ConnectPacket, "type">> = {}): Promise<WebSocketClient> {
    const client = await WebSocketClient.open(url, ["mqtt"], options.version);
    client.webSocket.send(connectBytes(options));
    await client.next("connack");
    return client;
  }

  get isClosed(): boolean {
    return this.closeCode !== undefined;
  }

  /** The socket below. */
  get socket(): Socket {
    return (this.webSocket as unknown as { _socket: Socket })._socket;
  }

  send(...packets: Packet[]): void {
    for (const packet of packets) this.webSocket.send(encodePacket(packet, 5));
  }

  /** Awaits the next packet, which must be of that type. */
  async next<Type extends PacketType>(type: Type): Promise<PacketOf<Type>> {
    await waitFor(() => this.waiting.length > 0 || this.isClosed, { what: `a ${type} packet`, interval: 1 });
    const packet = this.waiting.shift();
    if (packet?.type !== type) throw new Error(`not a ${type} packet but ${JSON.stringify(packet)}`);
    return packet as PacketOf<Type>;
  }

  /** Awaits the end and returns its code. */
  async closed(timeout?: number): Promise<number | undefined> {
    await waitFor(() => this.isClosed, { what: "the end of the WebSocket", timeout, interval: 1 });
    return this.closeCode;
  }
}

export function connectBytes(options: Partial<Omit<ConnectPacket, "type">> = {}): Uint8Array {
  return encodePacket(
    { type: "connect", version: 5, cleanStart: true, keepAlive: 0, clientId: "ws", ...options },
    options.version ?? 5,
  );
}

/** The status of the answer to a request that is not upgraded. */
export async function refusedWith(url: string, protocols: readonly string[], options: ClientOptions = {}) {
  const webSocket = new WebSocket(url, [...protocols], options);
  webSocket.on("error", () => {});
  const refused = once(webSocket, "unexpected-response").then(([request, response]) => {
    request.destroy();
    return response.statusCode as number;
  });
  const opened = once(webSocket, "open").then(() => {
    webSocket.terminate();
    return 101;
  });
  return within(Promise.race([refused, opened]), { what: "an answer" });
}
