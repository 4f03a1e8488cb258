// MQTT.js as a client of tests: connects once, collects what arrives, never reconnects by itself.

import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import type { Address } from "./mosquitto.ts";
import type { Scope } from "./temporary-directory.ts";
import { waitFor, within } from "./wait-for.ts";

/** A connected client and what it has received. */
export interface TestClient {
  readonly client: MqttClient;
  readonly packets: IPublishPacket[];
  readonly payloads: string[];
  /** Settles when the connection is gone. */
  readonly closed: Promise<void>;
  /** Waits until so many messages have arrived in all. */
  received(count: number, timeout?: number): Promise<void>;
  /** Ends the connection with DISCONNECT. */
  end(): Promise<void>;
}

/** Connects with MQTT 5 and a clean start, unless told otherwise. */
export async function connectClient(
  scope: Scope,
  { host, port }: Address,
  options: IClientOptions = {},
): Promise<TestClient> {
  const client = mqtt.connect({
    host,
    port,
    protocol: "mqtt",
    protocolVersion: 5,
    reconnectPeriod: 0,
    resubscribe: false,
    ...options,
  });
  const packets: IPublishPacket[] = [];
  const payloads: string[] = [];
  client.on("message", (_topic, payload, packet) => {
    packets.push(packet);
    payloads.push(payload.toString());
  });
  const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
  scope.after(() => {
    client.end(true);
  });
  await within(
    new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
    }),
    { what: "CONNACK" },
  );
  // Later errors show in what a test waits for: the close, or a publish that fails.
  client.on("error", () => {});
  return {
    client,
    packets,
    payloads,
    closed,
    async received(count, timeout) {
      await waitFor(() => packets.length >= count, { what: `${count} messages`, timeout });
    },
    async end() {
      await client.endAsync();
    },
  };
}

/** Publishes many messages with so many unacknowledged at a time; settles when all are acknowledged. */
export async function publishMany(
  { client }: TestClient,
  topics: (index: number) => string,
  count: number,
  qos: 1 | 2 = 1,
  window = 100,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      await client.publishAsync(topics(index), String(index), { qos });
    }
  };
  await Promise.all(Array.from({ length: window }, lane));
}
