// One client's connection: reads its packets, answers them, and ends it when it must.
//
// `new`: waits for CONNECT. `open`: has a session. `closed`: the session has gone its own way; what is left is to write
// out the last packets. Any stream of bytes will do as a socket.

import type { Duplex } from "node:stream";
import { MqttDecodeError } from "../mqtt/codec/errors.ts";
import type {
  ConnectPacket,
  DisconnectPacket,
  Packet,
  ProtocolVersion,
  SubackPacket,
  UnsubackPacket,
} from "../mqtt/codec/packets.ts";
import type { Message } from "../mqtt/message.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { clientInfo } from "./client-info.ts";
import { clientLimits } from "./client-limits.ts";
import { acceptConnect, setExpiry } from "./connect.ts";
import type { BrokerContext } from "./context.ts";
import { Deadlines } from "./deadlines.ts";
import type { Delivery } from "./delivery.ts";
import { disconnectReason, NORMAL, NOT_SAVED, PUBLISH_REFUSED, TCP_CLOSED } from "./disconnect-reason.ts";
import { InboundPublishes, type PublisherLink } from "./inbound-publishes.ts";
import { Outbound, type OutboundListener } from "./outbound.ts";
import { OutputGate } from "./output-gate.ts";
import { PacketReader, type PacketReceiver } from "./packet-reader.ts";
import { PublishSender } from "./publish-sender.ts";
import { Replies } from "./replies.ts";
import type { ClientLink, Session } from "./session.ts";
import { Traffic } from "./traffic.ts";
import type { RegisteredWill } from "./wills.ts";

/** How long a connection that was ended may take to write its last packets, in seconds. */
const LINGER = 2;

type State = "new" | "open" | "closed";

export class Connection implements ClientLink, PublisherLink, OutboundListener, PacketReceiver {
  window = 0;

  readonly #context: BrokerContext;
  readonly #stream: Duplex;
  readonly #reader: PacketReader;
  readonly #deadlines: Deadlines;
  readonly #traffic: Traffic;
  readonly #output: OutputGate;
  readonly #outbound: Outbound;
  readonly #replies: Replies;
  #state: State = "new";
  #session: Session | undefined;
  #sender: PublishSender | undefined;
  #publishes: InboundPublishes | undefined;
  #will: RegisteredWill | undefined;
  #isPaused = false;
  #wasCongested = false;

  constructor(context: BrokerContext, stream: Duplex, onClosed: (connection: Connection) => void) {
    this.#context = context;
    this.#stream = stream;
    this.#traffic = new Traffic(context.metrics);
    this.#reader = new PacketReader(this, context.options.maxPacketSize);
    this.#outbound = new Outbound(stream, context.flushes, this, context.options.maxWriteBacklog);
    this.#output = new OutputGate(this.#outbound, context.persistence.journal, () => this.readingChanged());
    this.#replies = new Replies(this.#output, this.#traffic);
    this.#deadlines = new Deadlines(context.options.idleTimeout);
    stream.on("data", (chunk: Buffer) => this.#received(chunk));
    stream.on("end", () => this.#end(TCP_CLOSED));
    stream.on("error", (error) => {
      context.logger.debug({ err: error, clientId: this.#session?.clientId }, "a connection broke");
    });
    stream.on("close", () => {
      this.#end(TCP_CLOSED);
      this.#output.close();
      onClosed(this);
    });
  }

  get version(): ProtocolVersion {
    return this.#replies.limits.version;
  }

  get isCongested(): boolean {
    const isCongested = this.#output.backlog > this.#context.options.maxWriteBuffer;
    if (isCongested) this.#wasCongested = true;
    return isCongested;
  }

  /** Ends the connection when something is overdue. `now` in ms of the monotonic clock. */
  checkTime(now: number): void {
    const overdue = this.#deadlines.overdue(now);
    if (overdue === "close") {
      if (this.#state === "open") this.#end(PUBLISH_REFUSED);
      else this.#stream.destroy();
    } else if (now - (this.#output.heldSince ?? now) > this.#context.options.saveTimeout * 1000) {
      this.#notSaved();
    } else if (overdue === "keep_alive" && this.#state === "open" && !this.#isPaused) {
      this.abort(ReasonCode.KeepAliveTimeout, "No packet came in time.");
    }
  }

  destroy(): void {
    this.#stream.destroy();
  }

  // What the session asks.

  fits(delivery: Delivery): boolean {
    return this.#sender?.fits(delivery, this.#context.now) ?? false;
  }

  sendPublish(delivery: Delivery, packetId: number, dup: boolean): void {
    this.#traffic.publishSent(delivery.qos, delivery.message.payload.length);
    if (delivery.qos === 0 && delivery.message.qos > 0 && !delivery.retained && this.#context.hooks.active) {
      this.#output.mark(delivery.message);
    }
    this.#sender?.send(delivery, packetId, dup, this.#context.now);
  }

  sendPubrel(packetId: number): void {
    this.#replies.pubrel(packetId, true);
  }

  hold(): void {
    this.#output.hold();
  }

  dismiss(reasonCode: ReasonCode, reasonString: string): void {
    this.#disconnect(reasonCode, reasonString);
  }

  // What the client's publishes ask.

  sendAck(
    type: "puback" | "pubrec" | "pubcomp",
    packetId: number,
    reasonCode: ReasonCode,
    reasonString?: string,
  ): void {
    this.#replies.ack(type, packetId, reasonCode, reasonString);
  }

  readingChanged(): void {
    if (this.#state !== "open") return;
    const mustPause = (this.#publishes?.isFull ?? false) || this.#output.isFull || this.#deadlines.isClosing;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) {
      this.#stream.pause();
      return;
    }
    this.#deadlines.received();
    this.#stream.resume();
    this.#reader.read();
  }

  abort(reasonCode: ReasonCode, reasonString: string): void {
    this.#context.metrics.protocolErrors += 1;
    const { clientId } = this.#session ?? {};
    this.#context.logger.debug({ clientId, reasonCode, reasonString }, "a client is disconnected");
    this.#disconnect(reasonCode, reasonString);
  }

  closeAfter(delay: number): void {
    if (delay === 0) {
      this.#end(PUBLISH_REFUSED);
      return;
    }
    this.#deadlines.closeAfter(delay);
    this.readingChanged();
  }

  // What the outbound side tells.

  written(messages: readonly Message[]): void {
    const session = this.#session;
    if (session === undefined || this.#state !== "open") return;
    for (const message of messages) {
      this.#context.hooks.messageDelivered(session.clientId, message, { qos: 0, retained: false });
    }
    if (!this.#wasCongested || this.isCongested) return;
    this.#wasCongested = false;
    session.drain();
  }

  overflowed(): void {
    if (this.#state === "closed") return;
    this.#context.metrics.slowReadersClosed += 1;
    const { clientId } = this.#session ?? {};
    this.#context.logger.warn({ clientId, bytes: this.#outbound.backlog }, "a client reads too slowly: it is closed");
    this.#output.cutShort();
    this.#disconnect(ReasonCode.QuotaExceeded, "The client reads too slowly.");
  }

  sent(bytes: number): void {
    this.#traffic.sent(bytes);
  }

  // What is read.

  get mayRead(): boolean {
    return this.#state !== "closed" && !this.#isPaused;
  }

  handle(packet: Packet): void {
    this.#traffic.packetReceived();
    this.#handle(packet);
  }

  readingFailed(error: unknown): void {
    if (!(error instanceof MqttDecodeError)) {
      this.#context.logger.error({ err: error, clientId: this.#session?.clientId }, "a packet could not be handled");
      this.abort(ReasonCode.UnspecifiedError, "The server failed.");
      return;
    }
    const { reasonCode, message, version, packetType } = error;
    if (packetType === "connect" && this.#state === "new") {
      this.#context.metrics.protocolErrors += 1;
      this.#context.logger.debug({ reasonCode, reasonString: message }, "a CONNECT was refused");
      const isUnsupported = reasonCode === ReasonCode.UnsupportedProtocolVersion;
      if (version === 5 || isUnsupported) this.#refuseConnect(version ?? 4, reasonCode, message);
      else this.#end(TCP_CLOSED);
      return;
    }
    this.abort(reasonCode, message);
  }

  #received(chunk: Buffer): void {
    if (this.#state === "closed") return;
    this.#traffic.received(chunk.length);
    this.#deadlines.received();
    this.#reader.push(chunk);
  }

  #handle(packet: Packet): void {
    if (packet.type === "connect") {
      this.#connect(packet);
      return;
    }
    const session = this.#session as Session;
    switch (packet.type) {
      case "publish":
        this.#traffic.messagesReceived += 1;
        this.#publishes?.publish(packet);
        this.readingChanged();
        break;
      case "puback":
        session.puback(packet.packetId);
        break;
      case "pubrec":
        this.#pubrec(session, packet.packetId, packet.reasonCode >= ReasonCode.UnspecifiedError);
        break;
      case "pubrel":
        this.#publishes?.release(packet.packetId);
        break;
      case "pubcomp":
        session.pubcomp(packet.packetId);
        break;
      case "subscribe":
        this.#context.subscriptions.subscribe(session, packet, (suback, why) => this.#acknowledge(suback, why));
        break;
      case "unsubscribe":
        if (packet.topicFilters.length > this.#context.options.maxSubscribeFilters) {
          this.abort(ReasonCode.QuotaExceeded, "The UNSUBSCRIBE has too many topic filters: send them in several.");
          break;
        }
        this.#context.subscriptions.unsubscribe(session, packet, (unsuback, why) => this.#acknowledge(unsuback, why));
        break;
      case "pingreq":
        this.#replies.send({ type: "pingresp" });
        break;
      case "disconnect":
        this.#disconnected(session, packet);
        break;
      default:
        // AUTH is for clients that gave an Authentication Method in CONNECT, and none is supported.
        this.abort(ReasonCode.ProtocolError, `${packet.type.toUpperCase()} is not allowed here.`);
    }
  }

  #connect(packet: ConnectPacket): void {
    const context = this.#context;
    const { version } = packet;
    const limits = clientLimits(packet, context.options);
    this.#replies.limits = limits;
    const { changes } = context.persistence;
    const accepted = acceptConnect(context, packet);
    if (!("session" in accepted)) {
      context.metrics.connectsRefused += 1;
      context.logger.debug({ clientId: packet.clientId, ...accepted }, "a CONNECT was refused");
      this.#refuseConnect(version, accepted.reasonCode, accepted.reasonString);
      return;
    }
    const { session, isPresent } = accepted;
    this.#session = session;
    this.#state = "open";
    this.#deadlines.connected(accepted.keepAlive * context.options.keepaliveMultiplier);
    this.#will = packet.will && context.wills.register(session.clientId, packet.will);
    this.window = limits.receiveMaximum;
    this.#sender = new PublishSender(limits, this.#output);
    this.#publishes = new InboundPublishes(context, session, this);
    session.attach(this, clientInfo(packet, this.#stream, context.now(), this.#traffic));
    context.clientEvents.connected();
    if (context.persistence.changes !== changes) this.hold();
    // MQTT 3.1 has no Session Present.
    const sessionPresent = isPresent && version > 3;
    this.#replies.send({
      type: "connack",
      sessionPresent,
      reasonCode: ReasonCode.Success,
      properties: accepted.properties,
    });
    if (context.hooks.active) {
      context.hooks.clientConnected(session.connectedClient(this.window, isPresent));
    }
    session.startSending();
    context.clientEvents.announce(session);
  }

  /** Tells hooks that were attached after the client has connected. */
  announce(): void {
    const session = this.#session;
    if (this.#state !== "open" || session === undefined) return;
    this.#context.hooks.clientConnected(session.connectedClient(this.window, true));
  }

  #acknowledge(packet: SubackPacket | UnsubackPacket, reasonString: string | undefined): void {
    if (this.#session?.saved !== undefined) this.hold();
    if (this.#replies.acknowledge(packet, reasonString)) return;
    this.abort(ReasonCode.PacketTooLarge, `The ${packet.type.toUpperCase()} exceeds the Maximum Packet Size.`);
  }

  #pubrec(session: Session, packetId: number, isRefusal: boolean): void {
    const isKnown = session.pubrec(packetId, isRefusal);
    if (isRefusal) return;
    if (session.saved !== undefined) this.hold();
    this.#replies.pubrel(packetId, isKnown);
  }

  #disconnected(session: Session, { reasonCode, properties }: DisconnectPacket): void {
    const expiry = properties?.sessionExpiryInterval;
    if (expiry !== undefined) {
      if (expiry > 0 && session.expiryInterval === 0) {
        this.abort(ReasonCode.ProtocolError, "A Session Expiry Interval of 0 cannot be raised in DISCONNECT.");
        return;
      }
      setExpiry(this.#context, session, Math.min(expiry, this.#context.options.maxSessionExpiryInterval));
    }
    this.#end(disconnectReason(reasonCode));
  }

  // Ending.

  #refuseConnect(version: ProtocolVersion, reasonCode: ReasonCode, reasonString: string): void {
    this.#replies.refuseConnect(version, reasonCode, reasonString);
    this.#end(TCP_CLOSED);
  }

  #disconnect(reasonCode: ReasonCode, reasonString?: string): void {
    if (this.#state === "open") this.#replies.disconnect(reasonCode, reasonString);
    this.#end(disconnectReason(reasonCode));
  }

  /** The disk does not take what the client would be told: it is not told, and may try again. */
  #notSaved(): void {
    const { logger } = this.#context;
    logger.debug({ clientId: this.#session?.clientId }, "a client is closed, since its session cannot be saved");
    this.#output.close();
    this.#end(NOT_SAVED);
    this.#stream.destroy();
  }

  /** Parts from the session and writes out what is left. */
  #end(reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#deadlines.closeAfter(LINGER);
    this.#output.end();
    // Whatever still comes is thrown away; without reading, the other side's end would not be seen.
    this.#stream.resume();
    const session = this.#session;
    if (session === undefined) return;
    const { hooks, clientEvents, sessions, wills } = this.#context;
    session.detach();
    clientEvents.disconnected(session, reason);
    this.#publishes?.pipeline.stopAnswering();
    hooks.clientDisconnected(session.clientId);
    if (this.#will !== undefined) {
      wills.disconnected(session, this.#will, reason !== NORMAL, this.#publishes?.pipeline);
    }
    sessions.disconnected(session);
  }
}
