// The offline message plugin: what happens at each hookpoint. It knows its host and its store by their interfaces only.

import type { Logger } from "../mqtt/logger.ts";
import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { Subscription, SubscriptionRequest } from "../mqtt/subscription.ts";
import type { MessageKey, PacketIdOfMessage, Store, StoreHealth } from "../store/store.ts";
import { Backlog } from "./backlog.ts";
import { Claims } from "./claims.ts";
import { Counters } from "./counters.ts";
import { OneToOne } from "./delivery-rule.ts";
import type {
  ConnectedClient,
  DeliveredEvent,
  DropReason,
  PublishResult,
  RemoteHooks,
  SubscribedEvent,
} from "./hooks.ts";
import type { Host, ReplayTarget } from "./host.ts";
import { IdsAboveStored } from "./ids-above-stored.ts";
import { defaultLimits, type PluginLimits, type PluginOptions } from "./options.ts";
import { Owed } from "./owed.ts";
import { Publishing } from "./publish.ts";
import { Removals } from "./removals.ts";
import { clientOwner, ReplayClient, sharedOwner } from "./replay-client.ts";
import { type CatchingUp, ConcurrencyLimit } from "./replay-context.ts";
import { Replays } from "./replays.ts";
import { RestoredSubscriptions } from "./restored-subscriptions.ts";
import { SharedSessions } from "./shared-sessions.ts";
import { StoredSummaries } from "./stored-summary.ts";
import { SubscriptionWriter } from "./subscription-writer.ts";
import { Sweeper } from "./sweeper.ts";

/** Smallest and largest number of payload bytes asked for in one page. */
const PAGE_BYTES = { least: 16 * 1024, most: 1024 * 1024 };
/** A replay holds two pages and a tail. */
const PAGES_PER_REPLAY = 3;
const SWEEP_INTERVAL = 5000;

export interface PluginParts {
  readonly host: Host;
  readonly store: Store;
  readonly options: PluginOptions;
  readonly logger: Logger;
}

export class OfflineMessagePlugin implements RemoteHooks {
  readonly counters = new Counters();
  /** What is stored, for whoever looks after it. */
  readonly backlog: Backlog;
  /** How much that is, for metrics. */
  readonly stored: StoredSummaries;
  readonly #host: Host;
  readonly #store: Store;
  readonly #options: PluginOptions;
  readonly #limits: PluginLimits;
  readonly #logger: Logger;
  readonly #clients = new Map<string, ReplayClient>();
  readonly #claims = new Claims();
  readonly #owed: Owed;
  readonly #removals: Removals;
  readonly #rule: OneToOne;
  readonly #ids: IdsAboveStored;
  readonly #publishing: Publishing;
  readonly #replays: Replays;
  readonly #sharedSessions = new SharedSessions();
  readonly #writer: SubscriptionWriter;
  readonly #restored: RestoredSubscriptions;
  readonly #sweeper: Sweeper;

  constructor({ host, store, options, logger }: PluginParts) {
    const counters = this.counters;
    const limits = { ...defaultLimits, ...options.limits };
    this.#host = host;
    this.#store = store;
    this.#options = options;
    this.#limits = limits;
    this.#logger = logger;
    this.stored = new StoredSummaries(store, logger);
    this.#owed = new Owed({ perOwner: limits.owedPerSession, total: limits.owed });
    this.#removals = new Removals(
      store,
      logger,
      counters,
      limits.removals,
      (keys) => host.messagesRemoved(keys),
      (keys) => this.#replays.comeBackTo(keys),
    );
    this.#rule = new OneToOne(this.#claims, this.#owed, this.#removals);
    const giveIdsAbove = (id: MessageId): void => {
      host.giveIdsAbove(id);
      this.#publishing.seen(id);
    };
    this.#ids = new IdsAboveStored(store, logger, giveIdsAbove);
    this.#publishing = new Publishing({
      store,
      ids: this.#ids,
      options,
      logger,
      counters,
      notRouted: () => this.#replays.routed(),
    });
    const catchingUp = new Set<CatchingUp>();
    this.#replays = new Replays({
      host,
      store,
      logger,
      counters,
      claims: this.#claims,
      owed: this.#owed,
      removals: this.#removals,
      rule: this.#rule,
      unrouted: this.#publishing.unrouted,
      catchingUp,
      cutShort: new Set(),
      leftToOthers: new Set(),
      reads: new ConcurrencyLimit(limits.concurrentReads),
      pageSize: () => this.#pageSize(catchingUp.size),
      getsAtHigherQoS: (clientId, topic) => this.#replays.getsAtHigherQoS(clientId, topic),
      wentLive: ({ isShared, owner, target }) => this.#wentLive(owner, isShared ? undefined : target.clientId),
      now: Date.now,
    });
    this.#writer = new SubscriptionWriter(store, logger, counters, limits.pendingSubscriptions);
    this.#restored = new RestoredSubscriptions(host, store, logger, this.#writer);
    this.backlog = new Backlog({
      store,
      removals: this.#removals,
      writer: this.#writer,
      restored: this.#restored,
      replays: this.#replays,
      clients: this.#clients,
      messageTtl: options.messageTtl ?? 0,
      giveIdsAbove,
    });
    this.#sweeper = new Sweeper(
      store,
      logger,
      counters,
      { interval: options.sweepInterval ?? SWEEP_INTERVAL, subscriptionTtl: options.subscriptionTtl },
      (clientId) => this.#clients.has(clientId),
    );
  }

  /** Opens the store. A database that is away is no error: publishers are refused until it is back. */
  async start(): Promise<void> {
    await this.#store.start({
      healthChanged: (health) => this.#healthChanged(health),
      causeFound: (error) => this.#logger.error({ err: error }, `the store is still away: ${error.message}`),
      dropped: (messages) => {
        this.counters.overflowed += messages;
      },
      collided: () => {
        this.counters.subscriptionsCollided += 1;
      },
    });
    // What is published while it is away waits for it, and nothing else does.
    if (this.#store.health().status === "ok") await this.#ids.ask();
    this.#sweeper.start();
  }

  /** Finishes what was begun and closes the store. No hook may be called any more. */
  async stop(): Promise<void> {
    this.#replays.stop();
    this.#restored.stop();
    await this.#sweeper.stop();
    await this.#writer.stop();
    await this.#removals.stop();
    await this.#store.stop();
  }

  /** What is held in memory now, for tests and metrics. */
  get memory(): { claims: number; owed: number; removals: number; unrouted: number; replays: number } {
    return {
      claims: this.#claims.size,
      owed: this.#owed.size,
      removals: this.#removals.size,
      unrouted: this.#publishing.unrouted.size,
      replays: this.#replays.size,
    };
  }

  clientConnected(connected: ConnectedClient): void {
    const { clientId } = connected;
    if (this.#clients.has(clientId)) this.clientDisconnected(clientId);
    const client = new ReplayClient(connected, () => this.#host.hasRoomFor?.(clientId) ?? true);
    this.#clients.set(clientId, client);
    for (const { id, topic } of connected.pending) {
      if (this.#publishing.storesTopic(topic)) this.#claims.add(clientId, { id, topic });
    }
    for (const subscription of connected.subscriptions) this.#subscribe(client, subscription, true);
    if (connected.clientIdAssigned) return;
    void this.#restored.restore(clientId);
    this.#touch(clientId);
  }

  clientDisconnected(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    this.#clients.delete(clientId);
    this.#restored.cancel(clientId);
    this.#replays.disconnect(clientId);
    const { claims, freed } = this.#claims.releaseAll(clientId);
    for (const { id, replay } of claims) {
      if (replay !== undefined) this.#owed.setUnderWay(replay.owner, id, false);
    }
    this.#replays.offerAgain(freed);
    if (!client.clientIdAssigned) this.#touch(clientId);
  }

  sessionTerminated(clientId: string): void {
    this.#rule.forgiveAll(clientOwner(clientId));
    for (const topicFilter of this.#sharedSessions.deleteSession(clientId)) {
      this.#rule.forgiveAll(sharedOwner(topicFilter));
    }
  }

  sessionSubscribed(subscription: Subscription, { restored, clientIdAssigned }: SubscribedEvent): void {
    if (!restored && !clientIdAssigned) this.#writer.save(subscription);
    const client = this.#clients.get(subscription.clientId);
    // One that is away catches up when it is back.
    if (client !== undefined) this.#subscribe(client, subscription, false);
  }

  sessionUnsubscribed(clientId: string, topicFilter: string): void {
    this.#restored.unsubscribed(clientId, topicFilter);
    if (!this.#clients.get(clientId)?.clientIdAssigned) this.#writer.delete(clientId, topicFilter);
    this.#replays.unsubscribe(clientId, topicFilter);
    if (this.#sharedSessions.delete(topicFilter, clientId)) this.#rule.forgiveAll(sharedOwner(topicFilter));
  }

  messagePublish(message: Message, packetId?: number): PublishResult | Promise<PublishResult> {
    return this.#publishing.publish(message, packetId);
  }

  listPacketIds(after: MessageId, limit: number): Promise<readonly PacketIdOfMessage[]> {
    return this.#store.listPacketIds(after, limit);
  }

  messageRouted(message: Message, missed: readonly ReplayTarget[]): void {
    this.#publishing.unrouted.delete(message.id);
    this.#replays.missed(message, missed);
  }

  messageDelivered(clientId: string, message: MessageKey, { qos, retained }: DeliveredEvent): void {
    const { id, topic } = message;
    if (qos > 0) {
      if (this.#clients.has(clientId) && this.#publishing.storesTopic(topic)) this.#claims.add(clientId, { id, topic });
      return;
    }
    if (retained) {
      if (this.#publishing.storesTopic(topic)) this.#sentAtQoS0(clientId, { id, topic }, true);
      return;
    }
    // Live at QoS 0 removes nothing; what a replay sent at QoS 0 does, unless it was published after the subscription.
    const claim = this.#claims.get(clientId, id);
    if (claim?.replay !== undefined && claim.atQoS0) this.#sentAtQoS0(clientId, claim, id <= claim.replay.since);
  }

  messageAcked(clientId: string, { id, topic }: MessageKey): void {
    const claim = this.#claims.release(clientId, id);
    if (claim === undefined && !this.#publishing.storesTopic(topic)) {
      this.#host.messagesRemoved([{ id }]);
      return;
    }
    this.counters.acknowledged += 1;
    this.#rule.acknowledged(clientOwner(clientId), { id, topic }, claim);
    if (claim?.replay !== undefined) this.#giveBackCredit(clientId);
  }

  deliveryDropped(clientId: string, topicFilter: string, message: Message, reason: DropReason): void {
    if (!this.#publishing.storesTopic(message.topic)) return;
    if (reason !== "queue_full") {
      this.#givenUp(clientId, message, reason);
      return;
    }
    this.#replays.dropped(clientId, topicFilter, message);
  }

  deliveryLost(clientId: string, { id, topic }: MessageKey): void {
    if (!this.#publishing.storesTopic(topic)) return;
    const claim = this.#claims.release(clientId, id);
    // What it is owed it is owed still.
    if (claim?.replay !== undefined) this.#owed.setUnderWay(claim.replay.owner, id, false);
    this.#replays.lost(clientId, { id, topic });
    if (claim === undefined) return;
    if (!this.#claims.isClaimed(id)) this.#replays.offerAgain([claim]);
    if (claim.replay !== undefined) this.#giveBackCredit(clientId);
  }

  deliveryGivenUp(clientId: string, message: MessageKey): void {
    if (this.#publishing.storesTopic(message.topic)) this.#givenUp(clientId, message);
  }

  clientHasRoom(clientId: string): void {
    this.#clients.get(clientId)?.pump();
  }

  #subscribe(client: ReplayClient, subscription: SubscriptionRequest, resumed: boolean): void {
    if (subscription.topicFilter.startsWith("$share/")) {
      this.#sharedSessions.add(subscription.topicFilter, client.clientId);
    }
    this.#replays.subscribe(client, subscription, this.#publishing.newestId, resumed);
  }

  /** The session will not send this message after all: it is free for others. */
  #givenUp(clientId: string, { id }: MessageKey, reason?: DropReason): void {
    if (reason === "too_large") this.counters.passedOverTooLarge += 1;
    const claim = this.#claims.release(clientId, id);
    if (claim === undefined) return;
    this.#rule.forgive(clientOwner(clientId), id);
    if (claim.replay !== undefined) {
      this.#owed.setUnderWay(claim.replay.owner, id, false);
      this.#giveBackCredit(clientId);
    }
    if (!this.#claims.isClaimed(id)) this.#replays.offerAgain([claim]);
  }

  /** A message went out at QoS 0, where nothing will be acknowledged. */
  #sentAtQoS0(clientId: string, key: MessageKey, counts: boolean): void {
    const claim = this.#claims.release(clientId, key.id);
    if (counts && this.#options.qos0Replay === "remove") {
      this.#rule.acknowledged(clientOwner(clientId), { id: key.id, topic: key.topic }, claim);
    } else if (claim !== undefined && !this.#claims.isClaimed(key.id)) {
      this.#replays.offerAgain([claim]);
    }
    if (claim?.replay !== undefined) this.#giveBackCredit(clientId);
  }

  #giveBackCredit(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    client.outstanding -= 1;
    client.pump();
  }

  /** What is still owed and not on its way will not come any more: it expired, was purged, or is too large. */
  #wentLive(owner: string, clientId: string | undefined): void {
    if (clientId !== undefined && this.#replays.isCatchingUp(clientId)) return;
    this.#rule.forgiveAll(owner, ({ id }) =>
      clientId === undefined ? !this.#claims.isClaimed(id) : !this.#claims.has(clientId, id),
    );
  }

  #pageSize(replays: number): { maxMessages: number; maxBytes: number } {
    const share = this.#limits.readAheadBytes / Math.max(replays, 1) / PAGES_PER_REPLAY;
    const maxBytes = Math.round(Math.min(Math.max(share, PAGE_BYTES.least), PAGE_BYTES.most));
    return { maxMessages: this.#limits.pageMessages, maxBytes };
  }

  /** Notes that the client is here, or was until now. */
  #touch(clientId: string): void {
    if (this.#options.subscriptionTtl === 0) return;
    this.#store.touchSubscriptions([clientId], Date.now()).catch((error: unknown) => {
      this.#logger.debug({ err: error, clientId }, "the time when a client was last seen could not be stored");
    });
  }

  #healthChanged(health: StoreHealth): void {
    if (health.status === "error") {
      this.#logger.error({ err: health.error }, `the store is away: ${health.error?.message ?? "cause unknown"}`);
      return;
    }
    this.#logger.info({}, "the store is back");
    void this.#ids.ask();
    this.#removals.retryNow();
    this.#writer.retryNow();
    this.#restored.retryNow();
    this.#replays.retryNow();
  }
}
