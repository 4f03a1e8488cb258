// The page's own client, for whatever one wants to publish and subscribe to: it connects when it is needed.

import type { MqttClient } from "mqtt";
import { type Ref, ref } from "vue";
import type { QoS } from "../api/clients.ts";
import { answered, type PageClients } from "./page-clients.ts";
import { checkFilter, checkTopic } from "./problem.ts";

export interface FreeClient {
  /** Topic filters; none any more when the connection has ended. */
  readonly subscriptions: Ref<readonly string[]>;
  /** Each settles when the broker has answered, and rejects with `MqttProblem` and `ApiError`. */
  publish(message: { topic: string; payload: string; qos: QoS; retain: boolean }): Promise<void>;
  subscribe(filter: string, qos: QoS): Promise<void>;
  unsubscribe(filter: string): Promise<void>;
}

export function useFreeClient(clients: PageClients): FreeClient {
  const subscriptions = ref<readonly string[]>([]);
  let current: Promise<MqttClient> | undefined;

  function connected(): Promise<MqttClient> {
    current ??= clients.connect("").then(
      (client) => {
        client.once("close", forget);
        return client;
      },
      (failure) => {
        forget();
        throw failure;
      },
    );
    return current;
  }
  function forget(): void {
    current = undefined;
    subscriptions.value = [];
  }

  return {
    subscriptions,
    async publish({ topic, payload, qos, retain }) {
      checkTopic(topic);
      const client = await connected();
      await answered(client, client.publishAsync(topic, payload, { qos, retain }));
    },
    async subscribe(filter, qos) {
      checkFilter(filter);
      const client = await connected();
      await answered(client, client.subscribeAsync(filter, { qos }));
      if (!subscriptions.value.includes(filter)) subscriptions.value = [...subscriptions.value, filter];
    },
    async unsubscribe(filter) {
      const client = await connected();
      await answered(client, client.unsubscribeAsync(filter));
      subscriptions.value = subscriptions.value.filter((other) => other !== filter);
    },
  };
}
