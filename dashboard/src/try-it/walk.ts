// The three steps: store, receive in order, receive nothing more.

import { listClients } from "../api/clients.ts";
import { answered, type PageClients } from "./page-clients.ts";
import { checkTopic, MqttProblem } from "./problem.ts";

export const PAYLOADS: readonly string[] = ["hello-from-offline1", "hello-from-offline2", "hello-from-offline3"];
/** The reason code for a message that nobody gets and that is not stored. */
const NO_SUBSCRIBERS = 16;
/** How long the first subscriber waits for the three messages, in ms. */
const ARRIVAL = 5000;
/** How long the second one waits for what must not come, in ms. */
export const SILENCE = 2000;

/** Whether all three were stored. Rejects with `MqttProblem` and `ApiError`. */
export async function store(clients: PageClients, topic: string): Promise<boolean> {
  checkTopic(topic);
  const client = await clients.connect("");
  let isStored = true;
  // A publish that is answered so counts as done.
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "puback" && packet.reasonCode === NO_SUBSCRIBERS) isStored = false;
  });
  try {
    for (const payload of PAYLOADS) await answered(client, client.publishAsync(topic, payload, { qos: 1 }));
    return isStored;
  } finally {
    client.end();
  }
}

/**
 * Subscribes as a client of that name, and leaves nothing of it behind. Settles with what has arrived: when the three are
 * there, or after `ARRIVAL`; with `wantsNothing` after `SILENCE`. Rejects with `MqttProblem` and `ApiError`.
 */
export async function receive(
  clients: PageClients,
  topic: string,
  clientId: string,
  { wantsNothing }: { wantsNothing: boolean },
): Promise<readonly string[]> {
  checkTopic(topic);
  await mayTake(clientId);
  const arrived: string[] = [];
  let complete = (): void => {};
  const waited = new Promise<void>((resolve) => {
    complete = resolve;
  });
  const client = await clients.connect(clientId, (message) => {
    // Another topic is one of a subscription that was stored before.
    if (message.topic !== topic || arrived.length >= PAYLOADS.length) return;
    arrived.push(message.payload);
    if (!wantsNothing && arrived.length === PAYLOADS.length) complete();
  });
  try {
    await answered(client, client.subscribeAsync(topic, { qos: 1 }));
    const timer = setTimeout(complete, wantsNothing ? SILENCE : ARRIVAL);
    await answered(client, waited);
    clearTimeout(timer);
    await answered(client, client.unsubscribeAsync(topic));
    return arrived;
  } finally {
    client.end();
  }
}

async function mayTake(clientid: string): Promise<void> {
  const { meta } = await listClients({ clientid }, 1);
  if (meta.count > 0) throw new MqttProblem("taken", { clientid });
}
