// What the broker counts. Counters only rise; the gauges at the top go both ways.

export class Metrics {
  /** Connected clients. */
  connections = 0;
  /** Sessions, connected or not. */
  sessions = 0;
  subscriptions = 0;
  /** Topics with a retained message. */
  retained = 0;
  /** Bytes of the retained messages. */
  retainedBytes = 0;
  /** Publishes of clients that wait for a hook, or behind one that does. */
  publishesWaiting = 0;

  packetsReceived = 0;
  packetsSent = 0;
  bytesReceived = 0;
  bytesSent = 0;

  /** PUBLISH packets of clients, by QoS. */
  readonly messagesReceived: [number, number, number] = [0, 0, 0];
  /** PUBLISH packets to clients, by QoS; those sent again included. */
  readonly messagesSent: [number, number, number] = [0, 0, 0];
  /** PUBACK and PUBREC packets of clients. */
  messagesAcked = 0;
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
    /** The session's queue was full. */
    queueFull: 0,
    /** QoS 0, and the client reads too slowly. */
    slowReader: 0,
    /** Above the client's Maximum Packet Size. */
    tooLarge: 0,
    expired: 0,
    /** Left over when the last member of a shared subscription went. */
    noMember: 0,
  };

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
}
