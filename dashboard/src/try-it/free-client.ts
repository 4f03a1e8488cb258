// The page's own client, for whatever one wants to publish and subscribe to: it connects when it is needed.

import type { MqttClient } from "mqtt";
import { computed, type Ref, ref } from "vue";
import type { QoS } from "../api/clients.ts";
import { answered, type PageClients } from "./page-clients.ts";
import { checkFilter, checkTopic } from "./problem.ts";

export interface FreeClient {
  /** Topic filters; none any more when the connection has ended. */
  readonly subscriptions: Ref<readonly string[]>;
  /** Those that ended with a connection, until they are made again. */
  readonly lost: Ref<readonly (readonly [filter: string, qos: QoS])[]>;
  /** Each settles when the broker has answered, and rejects with `MqttProblem` and `ApiError`. */
  publish(message: { topic: string; payload: string; qos: QoS; retain: boolean }): Promise<void>;
  subscribe(filter: string, qos: QoS): Promise<void>;
  unsubscribe(filter: string): Promise<void>;
  /** To what was lost. */
  subscribeAgain(): Promise<void>;
}

export function useFreeClient(clients: PageClients): FreeClient {
  const held = ref(new Map<string, QoS>());
  const subscriptions = computed(() => [...held.value.keys()]);
  const lost = ref<readonly (readonly [string, QoS])[]>([]);
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
    if (held.value.size > 0) lost.value = [...held.value];
    held.value.clear();
  }
  async function subscribe(filter: string, qos: QoS): Promise<void> {
    checkFilter(filter);
    const client = await connected();
    await answered(client, client.subscribeAsync(filter, { qos }));
    held.value.set(filter, qos);
    lost.value = lost.value.filter(([other]) => other !== filter);
  }

  return {
    subscriptions,
    lost,
    async publish({ topic, payload, qos, retain }) {
      checkTopic(topic);
      const client = await connected();
      await answered(client, client.publishAsync(topic, payload, { qos, retain }));
    },
    subscribe,
    async unsubscribe(filter) {
      const client = await connected();
      await answered(client, client.unsubscribeAsync(filter));
      held.value.delete(filter);
    },
    async subscribeAgain() {
      for (const [filter, qos] of lost.value) await subscribe(filter, qos);
    },
  };
}
