// Calls the plugin's hooks so that one that throws is logged and harms nothing else.

import type { Logger } from "../mqtt/logger.ts";
import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { Subscription } from "../mqtt/subscription.ts";
import type {
  ConnectedClient,
  DeliveredEvent,
  DropReason,
  Hooks,
  PacketIdOfMessage,
  PublishResult,
  Refusal,
  SubscribedEvent,
} from "../plugin/hooks.ts";
import type { ReplayTarget } from "../plugin/host.ts";
import type { Metrics } from "./metrics.ts";

/** The answer when `messagePublish` itself fails: whether the message is safe is not known, so it is not taken. */
const HOOK_FAILED: Refusal = {
  temporary: true,
  delayClose: true,
  onUnstorable: "close",
  reasonCode: ReasonCode.UnspecifiedError,
  reasonString: "The server could not handle the message.",
};

export class HookRunner {
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  #hooks: Hooks | undefined;

  constructor(logger: Logger, metrics: Metrics) {
    this.#logger = logger;
    this.#metrics = metrics;
  }

  set hooks(hooks: Hooks | undefined) {
    this.#hooks = hooks;
  }

  /** Whether anybody listens. */
  get active(): boolean {
    return this.#hooks !== undefined;
  }

  messagePublish(message: Message, packetId?: number): PublishResult | Promise<PublishResult> {
    if (this.#hooks === undefined) return "pass";
    try {
      const result = this.#hooks.messagePublish(message, packetId);
      return result instanceof Promise ? result.catch((error: unknown) => this.#publishFailed(error)) : result;
    } catch (error) {
      return this.#publishFailed(error);
    }
  }

  /** See `Hooks.listPacketIds`; none when the hook fails. */
  async listPacketIds(after: MessageId, limit: number): Promise<readonly PacketIdOfMessage[]> {
    try {
      return (await this.#hooks?.listPacketIds(after, limit)) ?? [];
    } catch (error) {
      this.#failed("list.packet.ids", error);
      return [];
    }
  }

  clientConnected(client: ConnectedClient): void {
    this.#run("client.connected", (hooks) => hooks.clientConnected(client));
  }

  clientDisconnected(clientId: string): void {
    this.#run("client.disconnected", (hooks) => hooks.clientDisconnected(clientId));
  }

  sessionTerminated(clientId: string): void {
    this.#run("session.terminated", (hooks) => hooks.sessionTerminated(clientId));
  }

  sessionSubscribed(subscription: Subscription, event: SubscribedEvent): void {
    this.#run("session.subscribed", (hooks) => hooks.sessionSubscribed(subscription, event));
  }

  sessionUnsubscribed(clientId: string, topicFilter: string): void {
    this.#run("session.unsubscribed", (hooks) => hooks.sessionUnsubscribed(clientId, topicFilter));
  }

  messageRouted(message: Message, missed: readonly ReplayTarget[]): void {
    try {
      this.#hooks?.messageRouted(message, missed);
    } catch (error) {
      this.#failed("message.routed", error);
    }
  }

  messageDelivered(clientId: string, message: Message, event: DeliveredEvent): void {
    try {
      this.#hooks?.messageDelivered(clientId, message, event);
    } catch (error) {
      this.#failed("message.delivered", error);
    }
  }

  messageAcked(clientId: string, message: Message): void {
    try {
      this.#hooks?.messageAcked(clientId, message);
    } catch (error) {
      this.#failed("message.acked", error);
    }
  }

  deliveryDropped(clientId: string, topicFilter: string, message: Message, reason: DropReason): void {
    this.#run("delivery.dropped", (hooks) => hooks.deliveryDropped(clientId, topicFilter, message, reason));
  }

  #run(hookpoint: string, call: (hooks: Hooks) => void): void {
    if (this.#hooks === undefined) return;
    try {
      call(this.#hooks);
    } catch (error) {
      this.#failed(hookpoint, error);
    }
  }

  #publishFailed(error: unknown): Refusal {
    this.#failed("message.publish", error);
    return HOOK_FAILED;
  }

  #failed(hookpoint: string, error: unknown): void {
    this.#metrics.hookErrors += 1;
    this.#logger.error({ err: error, hookpoint }, "a hook failed");
  }
}
