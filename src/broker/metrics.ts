// What the broker counts. Counters only rise; the gauges at the top go both ways.
//
// Plain numbers, so that counting costs nothing; whoever wants to know reads them.

import type { QoS } from "../mqtt/message.ts";

/** Gauges of which the highest value is kept as well. */
const HIGHEST = ["connections", "sessions", "subscriptions", "sharedSubscriptions", "topics", "retained"] as const;

export class Metrics {
  /** Connected clients. */
  connections = 0;
  /** Sessions, connected or not. */
  sessions = 0;
  subscriptions = 0;
  /** Those of them that are memberships of shared subscriptions. */
  sharedSubscriptions = 0;
  /** Those of them that are for topics of the server's own, `$SYS/…`. */
  sysSubscriptions = 0;
  /** Different Topic Filters that are subscribed to, those of shared subscriptions without `$share`. */
  topics = 0;
  /** Topics with a retained message. */
  retained = 0;
  /** Bytes of the retained messages. */
  retainedBytes = 0;
  /** Publishes of clients that wait for a hook, or behind one that does. */
  publishesWaiting = 0;
  /** Messages that wait in sessions, counted for each session; those that a catch-up holds back included. */
  queued = 0;
  /** Bytes of those: payload, topic and properties. */
  queuedBytes = 0;
  /** QoS 1 and 2 messages sent to clients and not acknowledged, those of sessions whose clients are away included. */
  inflight = 0;
  /** The highest values so far, as `noteHighest` saw them. */
  readonly highest = { connections: 0, sessions: 0, subscriptions: 0, sharedSubscriptions: 0, topics: 0, retained: 0 };

  /** Sockets that were accepted. */
  socketsAccepted = 0;
  /** Clients whose CONNECT was accepted, and those of them that are gone. */
  clientsConnected = 0;
  clientsDisconnected = 0;
  sessionsCreated = 0;
  sessionsResumed = 0;
  /** Sessions ended by Clean Start. */
  sessionsDiscarded = 0;
  /** Sessions ended because their client was away for too long. */
  sessionsExpired = 0;
  /** Sessions ended, for whatever reason. */
  sessionsTerminated = 0;

  packetsReceived = 0;
  packetsSent = 0;
  bytesReceived = 0;
  bytesSent = 0;

  /** PUBLISH packets of clients, by QoS. */
  readonly messagesReceived: [number, number, number] = [0, 0, 0];
  /** PUBLISH packets to clients, by QoS; those sent again included. */
  readonly messagesSent: [number, number, number] = [0, 0, 0];
  /** Payload bytes of PUBLISH packets. */
  publishBytesReceived = 0;
  publishBytesSent = 0;
  /** PUBACK and PUBREC packets of clients. */
  messagesAcked = 0;
  /** Messages published by an administrator. */
  publishesOfAdministrator = 0;
  /** QoS 1 and 2 publishes that a hook refused. */
  publishesRefused = 0;
  /** Publishes and wills to `$SYS/`, which go nowhere. */
  publishesToReserved = 0;
  /** Refused publishes that were acknowledged all the same, because the client's protocol has no reason codes. */
  refusalsAcknowledged = 0;
  /** Publishes that no subscription matched. */
  publishesWithoutSubscriber = 0;
  /** Retained messages not kept because of `maxRetainedMessages` or `maxRetainedBytes`. */
  retainedRefused = 0;
  /** Wills published. */
  willsPublished = 0;
  /** Those of QoS 1 and 2 that were refused: they are lost. */
  willsRefused = 0;

  /** Messages that did not reach a client, by the reason. */
  readonly dropped = {
    /** The session's queue was full, and no plugin stores the message. */
    queueFull: 0,
    /** QoS 0, and the client reads too slowly. */
    slowReader: 0,
    /** Above the client's Maximum Packet Size. */
    tooLarge: 0,
    expired: 0,
    /** Left over when the last member of a shared subscription went. */
    noMember: 0,
  };

  /** Stored messages that found a session's queue full: the client gets them from the store, unless another has taken them. */
  leftToStore = 0;
  /** Clients that were disconnected because they read too slowly. */
  slowReadersClosed = 0;
  /** CONNECT packets that were answered with a reason code of 0x80 or above. */
  connectsRefused = 0;
  /** Sockets closed at once because too many were open. */
  socketsRefused = 0;
  /** Connections closed for a packet that the protocol forbids. */
  protocolErrors = 0;
  /** Connections taken over by another with the same Client Identifier. */
  takeovers = 0;
  /** Calls of a hook that threw. */
  hookErrors = 0;

  /** A PUBLISH goes to a client. */
  publishSent(qos: QoS, payloadBytes: number): void {
    this.messagesSent[qos] += 1;
    this.packetsSent += 1;
    this.publishBytesSent += payloadBytes;
  }

  /** Keeps the highest values; a peak between two calls is not seen. */
  noteHighest(): void {
    for (const name of HIGHEST) if (this[name] > this.highest[name]) this.highest[name] = this[name];
  }
}
