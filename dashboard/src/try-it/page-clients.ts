// The MQTT clients of the page: MQTT.js over WebSocket, loaded when the first one connects. None outlives the page.

import type { MqttClient } from "mqtt";
import type { QoS } from "../api/clients.ts";
import { webSocketUrl } from "../api/listeners.ts";
import { MqttProblem } from "./problem.ts";

export interface ReceivedMessage {
  /** Of the client that received it; empty: the broker chose one. */
  readonly clientId: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** For CONNACK and every other answer, in ms. */
const TIMEOUT = 10_000;
/** Characters of a topic, and bytes of a payload, that are kept. */
const MAX_TEXT = 1000;

export class PageClients {
  readonly #received: (message: ReceivedMessage) => void;
  readonly #open = new Set<MqttClient>();
  #isEnded = false;

  constructor(received: (message: ReceivedMessage) => void) {
    this.#received = received;
  }

  /**
   * An empty client id: the broker chooses one, and the plugin does not keep its subscriptions. `received`: of this client
   * only. Rejects with `MqttProblem` and `ApiError`.
   */
  async connect(clientId: string, received?: (message: ReceivedMessage) => void): Promise<MqttClient> {
    const [{ default: mqtt }, url] = await Promise.all([import("mqtt"), webSocketUrl(location)]);
    const isSecure = location.protocol === "https:";
    if (url === undefined) {
      const listener = isSecure ? "listeners.wss" : "listeners.ws";
      throw new MqttProblem("noWebSocket", { listener, secure: isSecure ? "secure" : "" });
    }
    if (this.#isEnded) throw new MqttProblem("lost");
    const client = mqtt.connect(url, {
      clientId,
      protocolVersion: 5,
      reconnectPeriod: 0,
      connectTimeout: TIMEOUT,
      // The other kind makes a worker from a blob, which the content-security policy forbids.
      timerVariant: "native",
    });
    this.#open.add(client);
    client.on("close", () => this.#open.delete(client));
    client.on("message", (topic, payload, { qos, retain }) => {
      const message = { clientId, topic: shortText(topic), payload: payloadText(payload), qos, retain };
      received?.(message);
      this.#received(message);
    });
    await connected(client, url);
    return client;
  }

  /** Ends all; none connects any more. */
  end(): void {
    this.#isEnded = true;
    for (const client of this.#open) client.end(true);
  }
}

function connected(client: MqttClient, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Errors after that end the connection, which whoever waits for an answer hears of.
    client.on("error", (error) => {
      // A number is the reason code of a CONNACK.
      if (typeof (error as { code?: unknown }).code === "number") {
        reject(new MqttProblem("refused", { message: error.message }));
      }
    });
    client.once("connect", () => resolve());
    client.once("close", () => reject(new MqttProblem("unreachable", { url, origin: location.origin })));
  });
}

/** What a client asked of the broker, as long as it is connected. Rejects with `MqttProblem`. */
export async function answered<T>(client: MqttClient, asked: Promise<T>): Promise<T> {
  if (!client.connected) throw new MqttProblem("lost");
  const end = new AbortController();
  const ended = new Promise<never>((_resolve, reject) => {
    const lost = (): void => reject(new MqttProblem("lost"));
    const timer = setTimeout(() => reject(new MqttProblem("slow")), TIMEOUT);
    client.once("close", lost);
    end.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      client.off("close", lost);
    });
  });
  try {
    return await Promise.race([asked, ended]);
  } catch (failure) {
    if (failure instanceof MqttProblem) throw failure;
    throw new MqttProblem("failed", { message: (failure as Error).message });
  } finally {
    end.abort();
  }
}

function shortText(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

function payloadText(payload: Uint8Array): string {
  const text = new TextDecoder().decode(payload.subarray(0, MAX_TEXT));
  return payload.length > MAX_TEXT ? `${text}…` : text;
}
