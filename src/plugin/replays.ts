// All replays of the connected clients: finds them, begins and ends them, and offers again what became free.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { parseTopicFilter } from "../mqtt/topic.ts";
import type { MessageKey } from "../store/store.ts";
import type { ReplayTarget } from "./host.ts";
import { Replay } from "./replay.ts";
import { type ReplayClient, sharedOwner } from "./replay-client.ts";
import type { CatchingUp, ReplayContext } from "./replay-context.ts";
import { nextCatchingUp, type ReplayState, type ReplaysPage } from "./replay-state.ts";

export class Replays {
  readonly #context: ReplayContext;
  readonly #byTarget = new Map<string, Replay>();
  /** The replays that each connected client takes part in. */
  readonly #byClient = new Map<string, Set<Replay>>();
  readonly #shared = new Set<Replay>();

  constructor(context: ReplayContext) {
    this.#context = context;
  }

  /** Number of subscriptions of connected clients. */
  get size(): number {
    return this.#byTarget.size;
  }

  /**
   * The client holds this subscription: catches up and goes live. `since` is the highest id published so far;
   * `resumed`: the session had it before this connection.
   */
  subscribe(client: ReplayClient, subscription: SubscriptionRequest, since: MessageId, resumed: boolean): void {
    const { topicFilter } = subscription;
    const { shareName, filter } = parseTopicFilter(topicFilter);
    const target = shareName === undefined ? { clientId: client.clientId, topicFilter } : { topicFilter };
    let replay = this.#byTarget.get(keyOf(target));
    if (replay === undefined) {
      const owner = shareName === undefined ? client.owner : sharedOwner(topicFilter);
      replay = new Replay(this.#context, { target, topicFilter: filter, owner });
      this.#byTarget.set(keyOf(target), replay);
      if (replay.isShared) this.#shared.add(replay);
    }
    if (replay.mode === "live") replay.since = since;
    replay.addMember(client, subscription);
    let own = this.#byClient.get(client.clientId);
    if (own === undefined) {
      own = new Set();
      this.#byClient.set(client.clientId, own);
    }
    own.add(replay);
    replay.start(resumed);
    client.pump();
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    const replay = this.#find(clientId, topicFilter);
    const own = this.#byClient.get(clientId);
    if (replay === undefined || !own?.delete(replay)) return;
    if (own.size === 0) this.#byClient.delete(clientId);
    this.#leave(replay, clientId);
    if (!replay.isShared) {
      const others = [...(this.#byClient.get(clientId) ?? [])].filter(({ owner }) => owner === replay.owner);
      this.#context.rule.forgiveAll(replay.owner, ({ topic }) => !others.some((other) => other.matches(topic)));
    }
  }

  /** The client's connection is gone. */
  disconnect(clientId: string): void {
    for (const replay of this.#byClient.get(clientId) ?? []) this.#leave(replay, clientId);
    this.#byClient.delete(clientId);
  }

  /**
   * The client's queue had no room for a live message: its subscription catches up. Other subscriptions of the client
   * that are catching up and match it have missed it too; one of them may be the next to send what comes after it.
   */
  dropped(clientId: string, topicFilter: string, message: Message): void {
    const replay = this.#find(clientId, topicFilter);
    if (replay === undefined) return;
    replay.start();
    if (replay.isShared) {
      replay.missed(message);
      return;
    }
    for (const other of [...(this.#byClient.get(clientId) ?? [])]) {
      if (!other.isShared && other.matches(message.topic)) other.missed(message);
    }
  }

  /** The client's session has lost a message of this topic: its own subscriptions that match come back to the store. */
  lost(clientId: string, key: MessageKey): void {
    for (const replay of [...(this.#byClient.get(clientId) ?? [])]) {
      if (!replay.isShared && replay.matches(key.topic)) replay.lost(key);
    }
  }

  #find(clientId: string, topicFilter: string): Replay | undefined {
    const shared = topicFilter.startsWith("$share/");
    return this.#byTarget.get(keyOf(shared ? { topicFilter } : { clientId, topicFilter }));
  }

  /** The host did not push this message to these because they are catching up. */
  missed(message: Message, targets: readonly ReplayTarget[]): void {
    for (const target of targets) this.#byTarget.get(keyOf(target))?.missed(message);
    this.routed();
  }

  /** A message was routed, or will not be. */
  routed(): void {
    for (const replay of [...this.#context.cutShort]) replay.routed();
  }

  /** Nobody is being sent these any more: whoever left them to others, or shares with who had them, comes back. */
  offerAgain(freed: readonly MessageKey[]): void {
    if (freed.length === 0) return;
    const topics = new Set(freed.map(({ topic }) => topic));
    for (const replay of new Set<CatchingUp>([...this.#context.leftToOthers, ...this.#shared])) {
      if ([...topics].some((topic) => replay.matches(topic))) replay.comeBack();
    }
  }

  /** These stay stored after all, and may have been passed over: all that match them come back. */
  comeBackTo(keys: readonly MessageKey[]): void {
    const topics = new Set(keys.map(({ topic }) => topic));
    for (const replay of [...this.#byTarget.values()]) {
      if ([...topics].some((topic) => replay.matches(topic))) replay.comeBack();
    }
  }

  /** How far the client's replays have come. */
  statesOf(clientId: string): ReplayState[] {
    return [...(this.#byClient.get(clientId) ?? [])].map(({ state }) => state);
  }

  /** Up to `limit` of those that catch up, after what an earlier page told. */
  catchingUp(after: string, limit: number): ReplaysPage {
    return nextCatchingUp(this.#byTarget, after, limit);
  }

  /** Whether the client has a subscription of its own that matches the topic, with QoS 1 or 2. */
  getsAtHigherQoS(clientId: string, topic: string): boolean {
    for (const replay of this.#byClient.get(clientId) ?? []) {
      if (!replay.isShared && replay.acknowledges && replay.matches(topic)) return true;
    }
    return false;
  }

  /** Whether a subscription of the client is catching up. */
  isCatchingUp(clientId: string): boolean {
    return [...(this.#byClient.get(clientId) ?? [])].some(({ mode, isShared }) => mode !== "live" && !isShared);
  }

  /** The store is back. */
  retryNow(): void {
    for (const replay of this.#context.catchingUp) replay.retryNow();
  }

  stop(): void {
    for (const replay of this.#byTarget.values()) replay.stop();
    this.#byTarget.clear();
    this.#byClient.clear();
    this.#shared.clear();
  }

  #leave(replay: Replay, clientId: string): void {
    replay.removeMember(clientId);
    if (replay.memberCount > 0) return;
    const wasCatchingUp = replay.mode === "catching up";
    replay.stop();
    this.#byTarget.delete(keyOf(replay.target));
    this.#shared.delete(replay);
    // A shared subscription may live on in sessions that are offline: the host serves these by itself.
    if (replay.isShared && wasCatchingUp) this.#context.host.goLive(replay.target);
  }
}

/** A client identifier has no U+0000 [MQTT-1.5.4-2], and is never empty. */
function keyOf({ clientId = "", topicFilter }: ReplayTarget): string {
  return `${clientId}\0${topicFilter}`;
}
