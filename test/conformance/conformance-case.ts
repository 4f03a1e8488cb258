// What a case of the conformance suite is: the statements that it shows, and how, over raw bytes against a broker in process.
//
// Numbers are those of the standards' appendix B without `MQTT-`. The two standards number different statements alike, so
// a case names them for each version; it runs once for each version that it names any for. MQTT 3.1 has no numbers: the
// cases of 3.1.1 run for it too, unless they say how it differs.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { BrokerOptions } from "../../src/broker/options.ts";
import type { ReasonCode } from "../../src/mqtt/reason-code.ts";
import { type BrokerFixture, startBroker } from "../broker/broker-fixture.ts";
import { RawClient } from "../broker/raw-client.ts";

export interface ConformanceCase {
  readonly title: string;
  /** Statements of MQTT 3.1.1. */
  readonly v4?: readonly string[];
  /** Statements of MQTT 5.0. */
  readonly v5?: readonly string[];
  /** Why what MQTT 3.1.1 asks here does not hold for MQTT 3.1. */
  readonly not31?: string;
  readonly options?: Partial<BrokerOptions>;
  /** With hooks that the case scripts, in the place of a plugin. */
  readonly hooked?: boolean;
  run(context: CaseContext): Promise<void>;
}

export type CaseVersion = 3 | 4 | 5;

/** A broker without plugin, and clients of the version that the case runs for. */
export class CaseContext {
  readonly version: CaseVersion;
  readonly fixture: BrokerFixture;
  readonly t: TestContext;
  #offset = 0;

  private constructor(t: TestContext, version: CaseVersion, fixture: BrokerFixture) {
    this.t = t;
    this.version = version;
    this.fixture = fixture;
  }

  static async start(t: TestContext, version: CaseVersion, { options, hooked }: ConformanceCase): Promise<CaseContext> {
    return new CaseContext(t, version, await startBroker(t, { withoutHooks: hooked !== true, ...options }));
  }

  get isV5(): boolean {
    return this.version === 5;
  }

  /** Whether CONNACK tells that there is a session: MQTT 3.1 has no Session Present. */
  get tellsSessionPresent(): boolean {
    return this.version > 3;
  }

  /** A client with a new session that ends with its connection. */
  readonly connect: BrokerFixture["connect"] = (clientId, options = {}) =>
    this.fixture.connect(clientId, { version: this.version, ...options });

  /** A client whose session outlives its connection, and is resumed. */
  readonly connectPersistent: BrokerFixture["connect"] = (clientId, options = {}) =>
    this.fixture.connectPersistent(clientId, { version: this.version, ...options });

  /** A socket on which nothing was sent. */
  readonly open = async (): Promise<RawClient> => {
    const client = await RawClient.open(this.fixture.port, this.version);
    this.t.after(() => client.socket.destroy());
    return client;
  };

  /** A client that has subscribed to `topicFilter` with QoS 2. */
  readonly watch = async (topicFilter: string): Promise<RawClient> => {
    const watcher = await this.connect("watcher");
    await watcher.subscribe(topicFilter, { qos: 2 });
    return watcher;
  };

  /** The clocks jump ahead by so many seconds. */
  readonly advance = (seconds: number): void => {
    if (this.#offset === 0) {
      for (const clock of [Date, performance]) {
        const now = clock.now.bind(clock);
        this.t.mock.method(clock, "now", () => now() + this.#offset);
      }
    }
    this.#offset += seconds * 1000;
  };

  /** The server ends the connection: MQTT 5 with DISCONNECT and this Reason Code, the versions before without a word. */
  readonly ended = async (client: RawClient, reasonCode: ReasonCode): Promise<void> => {
    if (this.isV5) assert.equal((await client.next("disconnect")).reasonCode, reasonCode);
    await client.closed();
    assert.deepEqual(client.waiting, []);
  };
}

/** Sends bytes as they are, given in hex; spaces do not matter. */
export function sendHex(client: RawClient, hex: string): void {
  client.socket.write(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

/** The text as the standard's UTF-8 Encoded String, in hex. */
export function hexText(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length.toString(16).padStart(4, "0") + bytes.toString("hex");
}

/** A whole packet in hex: first byte and what follows the fixed header. */
export function hexPacket(firstByte: string, ...body: string[]): string {
  const rest = body.join("").replaceAll(" ", "");
  let length = rest.length / 2;
  let encoded = "";
  do {
    const digit = length % 128;
    length = Math.floor(length / 128);
    encoded += (length > 0 ? digit | 0x80 : digit).toString(16).padStart(2, "0");
  } while (length > 0);
  return firstByte + encoded + rest;
}

/** The bytes of a CONNECT in hex; what is not given is as in a client without a will. */
export function hexConnect(
  version: CaseVersion,
  {
    name = hexText(version === 3 ? "MQIsdp" : "MQTT"),
    level = `0${version}`,
    flags = "02",
    clientId = hexText("c"),
    properties = "00",
    more = "",
  },
): string {
  return hexPacket("10", name, level, flags, "0000", version === 5 ? properties : "", clientId, more);
}
