// Hooks for tests: they record every call, and answer publishes as the test says.

import type { Message } from "../../src/mqtt/message.ts";
import type { MessageId } from "../../src/mqtt/message-id.ts";
import { ReasonCode } from "../../src/mqtt/reason-code.ts";
import type { Subscription } from "../../src/mqtt/subscription.ts";
import type {
  ConnectedClient,
  DeliveredEvent,
  DropReason,
  Hooks,
  PacketIdOfMessage,
  PublishResult,
  Refusal,
  SubscribedEvent,
} from "../../src/plugin/hooks.ts";
import type { ReplayTarget } from "../../src/plugin/host.ts";
import { waitFor } from "../support/wait-for.ts";

export const temporaryRefusal: Refusal = {
  temporary: true,
  delayClose: false,
  onUnstorable: "close",
  reasonCode: ReasonCode.ImplementationSpecificError,
  reasonString: "The store is away.",
};

export const permanentRefusal: Refusal = {
  temporary: false,
  delayClose: false,
  onUnstorable: "close",
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The payload is too large.",
};

/** The broker tells whole messages. */
type ConnectedToBroker = Omit<ConnectedClient, "pending"> & { readonly pending: readonly Message[] };

export class ScriptedHooks implements Hooks {
  /** One line for each call, in order: `connected c1`, `delivered c1 payload qos1` and so on. */
  readonly calls: string[] = [];
  readonly published: Message[] = [];
  /** The Packet Identifiers with which messages came, as if they were stored with them. */
  packetIds: PacketIdOfMessage[] = [];
  readonly connected: ConnectedToBroker[] = [];
  readonly subscribed: { subscription: Subscription; event: SubscribedEvent }[] = [];
  /** What `messagePublish` answers; `later` makes it wait for `settle`. */
  answer: (message: Message) => PublishResult | Promise<PublishResult> | "later" = () => "stored";
  /** Called within the hook of that name. */
  onConnected: (client: ConnectedToBroker) => void = () => {};
  onSubscribed: (subscription: Subscription) => void = () => {};
  onDropped: (clientId: string, topicFilter: string, message: Message) => void = () => {};
  onAcked: (clientId: string, message: { id: MessageId; topic: string }) => void = () => {};
  readonly #payloads = new Map<MessageId, string>();
  readonly #waiting = new Map<string, (result: PublishResult) => void>();

  /** Settles the publish with this payload that was answered with `later`. */
  settle(payload: string, result: PublishResult = "stored"): void {
    const resolve = this.#waiting.get(payload);
    if (resolve === undefined) throw new Error(`no publish of ${payload} waits`);
    this.#waiting.delete(payload);
    resolve(result);
  }

  /** Awaits that so many publishes wait. */
  async waiting(count: number): Promise<void> {
    await waitFor(() => this.#waiting.size === count, {
      what: `${count} publishes to wait for their hook`,
      interval: 1,
    });
  }

  /** Awaits a call. */
  async called(line: string, times = 1): Promise<void> {
    const count = (): number => this.calls.filter((call) => call === line).length;
    await waitFor(() => count() >= times, { what: `the hook call "${line}"`, interval: 1 });
  }

  /** The message that was published with this payload. */
  message(payload: string): Message {
    const message = this.published.find((published) => textOf(published) === payload);
    if (message === undefined) throw new Error(`${payload} was not published`);
    return message;
  }

  messagePublish(message: Message, packetId?: number): PublishResult | Promise<PublishResult> {
    this.published.push(message);
    if (packetId !== undefined) this.packetIds.push({ message, packetId });
    this.#payloads.set(message.id, textOf(message));
    const answer = this.answer(message);
    if (answer !== "later") return answer;
    return new Promise((resolve) => this.#waiting.set(textOf(message), resolve));
  }

  async listPacketIds(after: MessageId, limit: number): Promise<readonly PacketIdOfMessage[]> {
    return this.packetIds.filter(({ message }) => message.id > after).slice(0, limit);
  }

  messageRouted(message: Message, missed: readonly ReplayTarget[]): void {
    const names = missed.map(({ clientId, topicFilter }) => ` missed ${clientId ?? "group"} ${topicFilter}`);
    this.calls.push(`routed ${textOf(message)}${names.join("")}`);
  }

  messageDelivered(clientId: string, message: Message, { qos, retained }: DeliveredEvent): void {
    this.calls.push(`delivered ${clientId} ${textOf(message)} qos${qos}${retained ? " retained" : ""}`);
  }

  messageAcked(clientId: string, message: { id: MessageId; topic: string }): void {
    this.calls.push(`acked ${clientId} ${this.#payloads.get(message.id) ?? message.id}`);
    this.onAcked(clientId, message);
  }

  clientConnected(client: ConnectedToBroker): void {
    this.calls.push(`connected ${client.clientId}`);
    this.connected.push(client);
    this.onConnected(client);
  }

  clientDisconnected(clientId: string): void {
    this.calls.push(`disconnected ${clientId}`);
  }

  sessionTerminated(clientId: string): void {
    this.calls.push(`terminated ${clientId}`);
  }

  sessionSubscribed(subscription: Subscription, event: SubscribedEvent): void {
    const { clientId, topicFilter } = subscription;
    this.calls.push(`subscribed ${clientId} ${topicFilter}`);
    this.subscribed.push({ subscription, event });
    this.onSubscribed(subscription);
  }

  sessionUnsubscribed(clientId: string, topicFilter: string): void {
    this.calls.push(`unsubscribed ${clientId} ${topicFilter}`);
  }

  deliveryDropped(clientId: string, topicFilter: string, message: Message, reason: DropReason): void {
    this.calls.push(`dropped ${clientId} ${topicFilter} ${textOf(message)} ${reason}`);
    this.onDropped(clientId, topicFilter, message);
  }
}

function textOf(message: Message): string {
  return Buffer.from(message.payload).toString();
}
