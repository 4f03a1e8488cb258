// What the broker can be told, with defaults. Names follow EMQX's `mqtt.*` and `listeners.*`.

import { isUtf8EncodedString } from "../mqtt/codec/utf8.ts";
import { BrokerOptionError } from "./errors.ts";

/** Where a listener binds. */
export interface ListenerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** The keys and certificates of a listener, in PEM, and what clients must show. */
export interface TlsOptions {
  /** The server's certificate, and those between it and its authority. */
  readonly certfile: string;
  readonly keyfile: string;
  /** Of the key file; empty: it has none. */
  readonly password: string;
  /** The authorities that clients' certificates come from; may be empty with `verify_none`. */
  readonly cacertfile: string;
  /** Whether clients are asked for a certificate, which then must be valid. */
  readonly verify: "verify_none" | "verify_peer";
  /** Whether clients that are asked must have one. */
  readonly failIfNoPeerCert: boolean;
}

export interface WebSocketOptions {
  readonly mqttPath: string;
  /** The largest WebSocket message, in bytes; never taken to be less than the largest MQTT packet. */
  readonly maxFrameSize: number;
  /** Whether web pages are refused that are neither of this machine nor in `checkOrigins`. */
  readonly checkOriginEnable: boolean;
  /** Origins of web pages, such as `https://example.org`. */
  readonly checkOrigins: readonly string[];
}

export interface TlsListenerOptions extends ListenerOptions {
  readonly tls: TlsOptions;
}

export interface WebSocketListenerOptions extends ListenerOptions {
  readonly websocket: WebSocketOptions;
}

export interface BrokerOptions {
  /** Whether there is a listener for MQTT over TCP. */
  readonly tcp: boolean;
  /** Address that it binds to. */
  readonly host: string;
  /** Its TCP port; 0: any free one. */
  readonly port: number;
  /** MQTT over TLS; absent: none. */
  readonly ssl?: TlsListenerOptions;
  /** MQTT over WebSocket; absent: none. */
  readonly ws?: WebSocketListenerOptions;
  /** MQTT over secure WebSocket; absent: none. */
  readonly wss?: WebSocketListenerOptions & TlsListenerOptions;

  /** The largest packet that a client may send, in bytes. Told to MQTT 5 clients as Maximum Packet Size. */
  readonly maxPacketSize: number;
  /** QoS 1 and 2 messages sent to a client and not acknowledged. The client's Receive Maximum may lower it. */
  readonly maxInflight: number;
  /** QoS 1 and 2 messages that wait in a session. At the limit the new message is dropped. */
  readonly maxMqueueLen: number;
  /** The bytes of those: payload, topic and properties. */
  readonly maxMqueueBytes: number;
  /**
   * QoS 1 and 2 publishes of a client that are not answered yet. Told to MQTT 5 clients, and enforced with 0x93; for
   * others the broker stops reading at that number.
   */
  readonly receiveMaximum: number;
  /** Bytes (payload, topic, properties) of publishes of one client that are not answered yet, at which the broker stops reading. */
  readonly maxUnansweredBytes: number;
  /** Connected clients. */
  readonly maxConnections: number;
  /** Sessions, connected or not. */
  readonly maxSessions: number;

  /** How long the session of an MQTT 3.1.1 client with Clean Session 0 outlives its connection, in seconds. */
  readonly sessionExpiryInterval: number;
  /** The highest Session Expiry Interval that an MQTT 5 client gets, in seconds. */
  readonly maxSessionExpiryInterval: number;
  /** A client is gone after this many Keep Alive intervals without a packet [MQTT-3.1.2-22]. */
  readonly keepaliveMultiplier: number;
  /**
   * The Keep Alive that MQTT 5 clients are told to use in the place of their own, in seconds; 0: none. `disabled`: their
   * own counts, as it does for the versions before.
   */
  readonly serverKeepalive: number | "disabled";
  /** The Response Information that MQTT 5 clients get if they ask for it; empty: none. */
  readonly responseInformation: string;
  /** How long a client may take for its TLS handshake, its WebSocket handshake, and until its CONNECT is complete, in seconds. */
  readonly idleTimeout: number;

  /**
   * How long what a client would be told is held back for its session (or a message, or a will) to be saved, in seconds.
   * Then the client is disconnected.
   */
  readonly saveTimeout: number;

  /** Client Identifier, in bytes of UTF-8. */
  readonly maxClientidLen: number;
  /** Levels of a topic or filter. */
  readonly maxTopicLevels: number;
  /** Topic Aliases in each direction of a connection. */
  readonly maxTopicAlias: number;
  /** Bytes of the topics of these, in each direction. A client that sets more is disconnected with 0x97. */
  readonly maxTopicAliasBytes: number;
  /** Topics with a retained message. At the limit a message to a new topic is not retained. */
  readonly maxRetainedMessages: number;
  /**
   * Bytes (payload, topic, properties, and what the levels of their topics take) of all retained messages. Above, a
   * message is not retained.
   */
  readonly maxRetainedBytes: number;
  /** Subscriptions of one session. */
  readonly maxSubscriptions: number;
  /** Topic Filters of one SUBSCRIBE, of which those beyond are refused, or UNSUBSCRIBE, which then ends the connection; with 0x97. */
  readonly maxSubscribeFilters: number;

  /**
   * Bytes that wait for a client's socket. Above that, QoS 0 messages are dropped and QoS 1 and 2 messages wait in the
   * session.
   */
  readonly maxWriteBuffer: number;
  /** Bytes that wait for a client's socket, above which the client is disconnected. */
  readonly maxWriteBacklog: number;

  /** How often the values of `$SYS/` topics are brought up to date, in seconds; 0: there are no such topics. */
  readonly sysInterval: number;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const KIB = 1024;
const MIB = 1024 * KIB;

export const defaultOptions: BrokerOptions = {
  tcp: true,
  host: "127.0.0.1",
  port: 1883,
  maxPacketSize: MIB,
  maxInflight: 32,
  maxMqueueLen: 1000,
  maxMqueueBytes: 16 * MIB,
  receiveMaximum: 100,
  maxUnansweredBytes: 4 * MIB,
  maxConnections: 10_000,
  maxSessions: 100_000,
  sessionExpiryInterval: 2 * HOUR,
  maxSessionExpiryInterval: 30 * DAY,
  keepaliveMultiplier: 1.5,
  serverKeepalive: "disabled",
  responseInformation: "",
  idleTimeout: 15,
  saveTimeout: 5,
  maxClientidLen: 65_535,
  maxTopicLevels: 128,
  maxTopicAlias: 256,
  maxTopicAliasBytes: 256 * KIB,
  maxRetainedMessages: 100_000,
  maxRetainedBytes: 256 * MIB,
  maxSubscriptions: 10_000,
  maxSubscribeFilters: 1000,
  maxWriteBuffer: MIB,
  maxWriteBacklog: 8 * MIB,
  sysInterval: 10,
};

type NumericOption = Exclude<
  keyof BrokerOptions,
  "tcp" | "host" | "ssl" | "ws" | "wss" | "serverKeepalive" | "responseInformation"
>;

/** The longest Keep Alive, in seconds: what its two bytes can tell. */
export const MAX_KEEP_ALIVE = 65_535;

/** The lowest and the highest value of each number; whole numbers except where `fraction` says so. */
export const limits: Record<NumericOption, { min: number; max: number; fraction?: boolean }> = {
  port: { min: 0, max: 65_535 },
  maxPacketSize: { min: 64, max: 268_435_460 },
  maxInflight: { min: 1, max: 65_535 },
  maxMqueueLen: { min: 0, max: 10_000_000 },
  maxMqueueBytes: { min: 0, max: Number.MAX_SAFE_INTEGER },
  receiveMaximum: { min: 1, max: 65_535 },
  maxUnansweredBytes: { min: 1, max: Number.MAX_SAFE_INTEGER },
  maxConnections: { min: 1, max: 10_000_000 },
  maxSessions: { min: 1, max: 100_000_000 },
  sessionExpiryInterval: { min: 0, max: 0xffff_ffff },
  maxSessionExpiryInterval: { min: 0, max: 0xffff_ffff },
  keepaliveMultiplier: { min: 1, max: 100, fraction: true },
  idleTimeout: { min: 0.01, max: DAY, fraction: true },
  saveTimeout: { min: 0.01, max: DAY, fraction: true },
  maxClientidLen: { min: 23, max: 65_535 },
  maxTopicLevels: { min: 1, max: 65_535 },
  maxTopicAlias: { min: 0, max: 65_535 },
  maxTopicAliasBytes: { min: 0, max: Number.MAX_SAFE_INTEGER },
  maxRetainedMessages: { min: 0, max: 100_000_000 },
  maxRetainedBytes: { min: 0, max: Number.MAX_SAFE_INTEGER },
  maxSubscriptions: { min: 1, max: 10_000_000 },
  maxSubscribeFilters: { min: 1, max: 10_000_000 },
  maxWriteBuffer: { min: 1024, max: Number.MAX_SAFE_INTEGER },
  maxWriteBacklog: { min: 1024, max: Number.MAX_SAFE_INTEGER },
  sysInterval: { min: 0, max: DAY, fraction: true },
};

/** Fills in the defaults. Throws `BrokerOptionError` for a value outside its limits. */
export function resolveOptions(given: Partial<BrokerOptions> = {}): BrokerOptions {
  const options = { ...defaultOptions, ...given };
  for (const [name, { min, max, fraction }] of Object.entries(limits)) {
    const value: number = options[name as keyof typeof limits];
    const isNumber = typeof value === "number" && (fraction ? Number.isFinite(value) : Number.isInteger(value));
    if (!isNumber || value < min || value > max) {
      const kind = fraction ? "a number" : "a whole number";
      throw new BrokerOptionError(`The broker option ${name} is ${kind} from ${min} to ${max}, not ${String(value)}.`);
    }
  }
  const { serverKeepalive } = options;
  const isKeepAlive = Number.isInteger(serverKeepalive) && Number(serverKeepalive) >= 0;
  if (serverKeepalive !== "disabled" && !(isKeepAlive && serverKeepalive <= MAX_KEEP_ALIVE)) {
    const expected = `"disabled" or a whole number from 0 to ${MAX_KEEP_ALIVE}`;
    throw new BrokerOptionError(`The broker option serverKeepalive is ${expected}, not ${String(serverKeepalive)}.`);
  }
  if (!isUtf8EncodedString(options.responseInformation)) {
    throw new BrokerOptionError(
      "The broker option responseInformation takes more than 65535 bytes, is not well-formed, or contains U+0000.",
    );
  }
  if (options.maxWriteBacklog < options.maxWriteBuffer) {
    throw new BrokerOptionError("The broker option maxWriteBacklog must not be lower than maxWriteBuffer.");
  }
  return options;
}
