// The broker as the plugin's Host: stored messages to clients, and subscriptions put back.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import type { DeliverResult, Host, ReplayTarget } from "../plugin/host.ts";
import { beginCatchUp, goLive, releaseBefore } from "./catch-up.ts";
import type { BrokerContext } from "./context.ts";
import type { CatchUpState } from "./session-subscription.ts";

export class BrokerHost implements Host {
  readonly #context: BrokerContext;

  constructor(context: BrokerContext) {
    this.#context = context;
  }

  giveIdsAbove(id: MessageId): void {
    this.#context.ids.advancePast(id);
  }

  restoreSubscription(clientId: string, subscription: SubscriptionRequest): void {
    const session = this.#context.sessions.get(clientId);
    if (session?.isConnected) this.#context.subscriptions.restore(session, subscription);
  }

  deliver(clientId: string, topicFilter: string, message: Message): DeliverResult {
    const session = this.#context.sessions.get(clientId);
    const subscription = session?.subscriptions.get(topicFilter);
    if (session?.link === undefined || subscription === undefined) return "gone";
    const delivery = subscription.deliveryOf(message, true);
    if (!session.link.fits(delivery)) {
      this.#context.metrics.dropped.tooLarge += 1;
      return "too_large";
    }
    releaseBefore(subscription, message);
    session.offer(delivery, true);
    return "taken";
  }

  beginCatchUp(target: ReplayTarget, holdQueue: boolean): void {
    const state = this.#stateOf(target);
    if (state?.sessions.some((session) => session.isConnected)) beginCatchUp(state, holdQueue);
  }

  goLive(target: ReplayTarget): void {
    const state = this.#stateOf(target);
    if (state !== undefined) goLive(state);
  }

  messagesRemoved(messages: readonly { readonly id: MessageId }[]): void {
    for (const { id } of messages) this.#context.persistence.messageRemoved(id);
  }

  #stateOf({ clientId, topicFilter }: ReplayTarget): CatchUpState | undefined {
    if (clientId === undefined) return this.#context.router.sharedSubscription(topicFilter);
    return this.#context.sessions.get(clientId)?.subscriptions.get(topicFilter);
  }
}
