// A client's subscriptions: a hash of topic filter to QoS, which is all that EMQX's plugin has room for.

import type { QoS } from "../../../mqtt/message.ts";
import type { Subscription } from "../../../mqtt/subscription.ts";
import type { RedisCommand } from "../command.ts";
import type { RedisContext } from "../context.ts";

type Keys = RedisContext["keys"];

export function saveSubscriptionCommand(keys: Keys, { clientId, topicFilter, qos }: Subscription): RedisCommand {
  return ["HSET", keys.subscriptions(clientId), topicFilter, String(qos)];
}

export function deleteSubscriptionCommand(keys: Keys, clientId: string, topicFilter: string): RedisCommand {
  return ["HDEL", keys.subscriptions(clientId), topicFilter];
}

/** Throws the error of Redis or the connection. */
export async function listSubscriptions({ keys, send }: RedisContext, clientId: string): Promise<Subscription[]> {
  const [reply] = await send([["HGETALL", keys.subscriptions(clientId)]]);
  if (reply instanceof Error) throw reply;
  if (!Array.isArray(reply)) return [];
  const subscriptions: Subscription[] = [];
  for (let at = 0; at + 1 < reply.length; at += 2) {
    const qos = Number(reply[at + 1]);
    if (qos !== 0 && qos !== 1 && qos !== 2) continue;
    subscriptions.push({
      clientId,
      topicFilter: String(reply[at]),
      qos: qos as QoS,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    });
  }
  return subscriptions;
}
