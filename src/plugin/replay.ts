// The replay of stored messages to one subscription (or to a shared subscription): catch up from the store, then live.
//
// MODES
//
//   catching up   The host does not push stored messages to the subscription; it reports each as missed. Pages are read
//                 ahead (at most two are held) and sent one by one as the client's credit allows. What is missed while
//                 the last page is read and sent is kept in the tail, about a page at most; when it grows beyond that,
//                 the tail is dropped and the store is read on.
//                 Begins: when the subscription is made or resumed; when the client's queue overflowed (the host dropped
//                 a message that the store holds); when a message that was being sent to another client is free again.
//                 Ends: when the store had nothing more, and every message read, and every one missed since the last
//                 read began, was sent or passed over. No turn of the event loop passes between that check and `goLive`,
//                 so a message is read by a page, kept in the tail, or pushed live; never neither.
//   live          The host pushes. Nothing is read.
//   stopped       The subscription or its client is gone. Whatever still arrives is thrown away.
//
// WHY NOTHING IS SENT TWICE. A message is claimed (claims.ts) from the moment when it is handed over until it is
// acknowledged, and remembered as removed (removals.ts) from then until no page that was read before can name it. A
// message that is stored but not routed yet ends the page: it is reported as missed when it is routed, and then read
// again. So coming back to an earlier position is always safe, only slower. (QoS 0 has no acknowledgement: there, only ids
// above the last one sent are taken.)
//
// ORDER. Pages are read in publish order and sent in that order. Only what another client was being sent and gave back
// comes late.

import type { Message, QoS } from "../mqtt/message.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { topicMatches } from "../mqtt/topic.ts";
import type { MessageKey, Page, Position } from "../store/store.ts";
import { Backoff } from "./backoff.ts";
import type { Sender } from "./claims.ts";
import type { DeliverResult, ReplayTarget } from "./host.ts";
import { type PageInUse, ReadAhead, type Upcoming } from "./read-ahead.ts";
import type { ReplayClient, Sending } from "./replay-client.ts";
import type { CatchingUp, ReplayContext } from "./replay-context.ts";
import type { ReplayState } from "./replay-state.ts";

type Mode = "live" | "catching up" | "stopped";

interface Member {
  readonly client: ReplayClient;
  /** The options of its last SUBSCRIBE. */
  readonly qos: QoS;
  readonly noLocal: boolean;
}

export interface ReplaySubscription {
  readonly target: ReplayTarget;
  /** The Topic Filter without `$share/{ShareName}/`. */
  readonly topicFilter: string;
  /** To whom messages missed while catching up are owed. */
  readonly owner: string;
}

export class Replay implements CatchingUp, Sender, Sending {
  readonly target: ReplayTarget;
  readonly topicFilter: string;
  readonly owner: string;
  /** Messages with a higher id were published after the subscription was made. */
  since = "";
  readonly #context: ReplayContext;
  /** Connected clients to send to, by client id; the first has the next turn. One at most unless shared. */
  readonly #members = new Map<string, Member>();
  #mode: Mode = "live";
  readonly #ahead: ReadAhead;
  /** Counts the times that reading began anew; a page read for an earlier one is thrown away. */
  #run = 0;
  #reading = false;
  /** Where the next page begins. */
  #readAfter: Position | undefined;
  /** The last message that was sent or passed over. */
  #doneUpTo: Position | undefined;
  /** The last page said that the store has nothing more. */
  #atEnd = false;
  /** The last page ended before a message that is not routed yet. */
  #cutShort = false;
  /** The highest id sent since the start, for QoS 0. */
  #sentId = "";
  /** If messages were left to other clients, the first of them comes after this position. */
  #comeBackAfter: Position | undefined;
  readonly #backoff = new Backoff();

  constructor(context: ReplayContext, subscription: ReplaySubscription) {
    this.#context = context;
    this.#ahead = new ReadAhead(context.removals, () => this.#goOn());
    this.target = subscription.target;
    this.topicFilter = subscription.topicFilter;
    this.owner = subscription.owner;
  }

  get mode(): Mode {
    return this.#mode;
  }

  get state(): ReplayState {
    const { clientId, topicFilter } = this.target;
    return {
      ...(clientId === undefined ? undefined : { clientId }),
      topicFilter,
      isCatchingUp: this.#mode === "catching up",
      ...(this.#doneUpTo === undefined ? undefined : { position: this.#doneUpTo }),
      ...(this.#sentId === "" ? undefined : { lastId: this.#sentId }),
      readAhead: this.#ahead.size,
    };
  }

  get isShared(): boolean {
    return this.target.clientId === undefined;
  }

  /** Whether a member has subscribed with QoS 1 or 2. */
  get acknowledges(): boolean {
    for (const { qos } of this.#members.values()) if (qos > 0) return true;
    return false;
  }

  get memberCount(): number {
    return this.#members.size;
  }

  /** Adds a client, or takes note of its new options. */
  addMember(client: ReplayClient, { qos, noLocal }: SubscriptionRequest): void {
    this.#members.set(client.clientId, { client, qos, noLocal });
    if (this.#mode === "catching up") client.addCatchingUp(this);
  }

  removeMember(clientId: string): void {
    this.#members.get(clientId)?.client.removeCatchingUp(this);
    this.#members.delete(clientId);
  }

  /**
   * Begins to catch up from the oldest message; where it is under way already, it goes on. With `holdQueue`, the
   * session's queue is merged with the store: the host holds it back.
   */
  start(holdQueue = false): void {
    if (this.#mode !== "live") return;
    this.#sentId = "";
    this.#catchUpFrom(undefined, holdQueue);
  }

  /** A message that another client was being sent is free again: comes back to it. */
  comeBack(): void {
    if (this.#mode === "stopped" || !this.acknowledges) return;
    this.#catchUpFrom(this.isShared ? undefined : this.#comeBackAfter);
  }

  /** One that it had sent, or that was pushed, is lost: it is owed, and reading begins anew. At QoS 0 it stays for the next time. */
  lost(key: MessageKey): void {
    if (this.#mode === "stopped" || !this.acknowledges) return;
    if (!this.#context.owed.add(this.owner, key)) this.#context.counters.owedBound += 1;
    this.#catchUpFrom(undefined);
  }

  /** Ends for good. */
  stop(): void {
    this.#dropPages();
    for (const clientId of [...this.#members.keys()]) this.removeMember(clientId);
    this.#mode = "stopped";
    this.#context.catchingUp.delete(this);
    this.#context.leftToOthers.delete(this);
    this.#setCutShort(false);
    this.#ahead.clearTail();
    this.#backoff.stop();
  }

  /** The host did not push this stored message. */
  missed(message: Message): void {
    if (this.#mode !== "catching up") return;
    const key = { id: message.id, topic: message.topic };
    if (this.acknowledges && !this.#context.owed.add(this.owner, key)) this.#context.counters.owedBound += 1;
    // While pages are read and there is more to come, the next read finds it.
    if (this.#reading || this.#atEnd) this.#ahead.addToTail(message, this.#context.pageSize());
    this.#goOn();
    this.#pump();
  }

  /** A message that is stored was routed or refused: if it had ended a page, reading goes on. */
  routed(): void {
    if (!this.#cutShort) return;
    this.#setCutShort(false);
    this.#atEnd = false;
    this.#goOn();
  }

  /** The store is back. */
  retryNow(): void {
    this.#backoff.endWait();
  }

  /** Sends the next message to the member whose turn it is. Returns whether one was handed over. */
  sendNext(): boolean {
    while (this.#mode === "catching up") {
      const next = this.#peek();
      if (next === undefined) break;
      const outcome = this.#offer(next.message);
      if (outcome === "no credit" || this.#mode !== "catching up") return false;
      this.#advance(next);
      if (outcome === "sent") return true;
    }
    return false;
  }

  /** Offers one message to the members in turn: sent, none has credit, or it is not for any of them now. */
  #offer(message: Message): "sent" | "no credit" | "passed over" {
    const { id, expiresAt } = message;
    if (expiresAt !== undefined && expiresAt <= this.#context.now()) return "passed over";
    let outcome: "no credit" | "passed over" = this.#members.size === 0 ? "no credit" : "passed over";
    let tooLarge = false;
    for (const member of [...this.#members.values()]) {
      if (member.client.credit <= 0) {
        outcome = "no credit";
        continue;
      }
      const { clientId } = member.client;
      const decision = this.#context.rule.decide(this.owner, this.isShared ? undefined : clientId, message);
      if (decision !== "send") {
        if (decision === "taken") this.#noteLeftToOthers();
        return "passed over";
      }
      if (!this.#isFor(member, message)) continue;
      const result = this.#handOver(member, message);
      if (result === "taken") return "sent";
      if (result === "too_large") tooLarge = true;
    }
    if (outcome === "passed over") {
      if (tooLarge) this.#context.counters.passedOverTooLarge += 1;
      // None of those who are here now will get it from this replay.
      this.#context.rule.forgive(this.owner, id);
    }
    return outcome;
  }

  /** Whether this member may have it: not its own under No Local, and at QoS 0 nothing twice and nothing it gets better. */
  #isFor({ client, qos, noLocal }: Member, { id, from, topic }: Message): boolean {
    if (noLocal && from === client.clientId) return false;
    if (qos > 0) return true;
    return id > this.#sentId && !this.#context.getsAtHigherQoS(client.clientId, topic);
  }

  #handOver(member: Member, message: Message): DeliverResult | "claimed" {
    const { claims, counters, host, owed } = this.#context;
    const { client, qos } = member;
    const { id, topic } = message;
    if (!claims.add(client.clientId, { id, topic, replay: this, atQoS0: qos === 0 })) return "claimed";
    client.outstanding += 1;
    owed.setUnderWay(this.owner, id, true);
    const result = host.deliver(client.clientId, this.target.topicFilter, message);
    if (result === "taken") {
      counters.replayed += 1;
      if (id > this.#sentId) this.#sentId = id;
      // The next turn is somebody else's.
      if (this.#members.size > 1 && this.#members.delete(client.clientId)) this.#members.set(client.clientId, member);
      return result;
    }
    claims.release(client.clientId, id);
    client.outstanding -= 1;
    owed.setUnderWay(this.owner, id, false);
    if (result === "gone") this.removeMember(client.clientId);
    return result;
  }

  #catchUpFrom(position: Position | undefined, holdQueue = false): void {
    if (this.#mode === "live") {
      this.#mode = "catching up";
      this.#context.catchingUp.add(this);
      for (const { client } of this.#members.values()) client.addCatchingUp(this);
      this.#context.host.beginCatchUp(this.target, holdQueue);
    }
    this.#readAgainAfter(position);
  }

  #readAgainAfter(position: Position | undefined): void {
    this.#dropPages();
    this.#readAfter = position;
    this.#doneUpTo = position;
    this.#context.leftToOthers.delete(this);
    this.#comeBackAfter = undefined;
    this.#atEnd = false;
    this.#setCutShort(false);
    this.#ahead.clearTail();
    this.#backoff.endWait();
    this.#goOn();
  }

  /** Reads on when there is room for a page, or goes live when all is done. */
  #goOn(): void {
    if (this.#mode !== "catching up" || this.#reading) return;
    if (!this.#atEnd || this.#ahead.tailOverflowed) {
      if (this.#ahead.hasRoomForPage) void this.#read();
      return;
    }
    if (this.#cutShort || this.#peek() !== undefined) return;
    this.#mode = "live";
    this.#context.catchingUp.delete(this);
    for (const { client } of this.#members.values()) client.removeCatchingUp(this);
    this.#context.host.goLive(this.target);
    this.#context.wentLive(this);
  }

  async #read(): Promise<void> {
    this.#reading = true;
    this.#atEnd = false;
    this.#ahead.clearTail();
    const run = this.#run;
    const page: PageInUse = { messages: [], next: 0, giveUp: () => this.#giveUp(page) };
    let result: Page | undefined;
    try {
      result = await this.#context.reads.run(() => {
        this.#context.removals.openPage(page);
        return this.#context.store.readPage({
          topicFilter: this.topicFilter,
          after: this.#readAfter,
          ...this.#context.pageSize(),
        });
      });
      this.#backoff.reset();
    } catch (error) {
      this.#context.logger.debug({ err: error, topicFilter: this.topicFilter }, "a page could not be read yet");
      if (run === this.#run && this.#mode === "catching up") await this.#backoff.wait();
    }
    this.#reading = false;
    if (result === undefined || run !== this.#run || this.#mode !== "catching up") {
      this.#context.removals.closePage(page);
      this.#goOn();
      return;
    }
    this.#use(page, result);
  }

  #use(page: PageInUse, { messages, next }: Page): void {
    const unrouted = messages.findIndex(({ message }) => this.#context.unrouted.has(message.id));
    page.messages = unrouted < 0 ? messages : messages.slice(0, unrouted);
    this.#setCutShort(unrouted >= 0);
    this.#atEnd = this.#cutShort || next === undefined;
    const last = page.messages.at(-1)?.position;
    this.#readAfter = (this.#atEnd ? last : next) ?? this.#readAfter;
    this.#ahead.addPage(page);
    this.#goOn();
    this.#pump();
  }

  #pump(): void {
    for (const { client } of [...this.#members.values()]) client.pump();
  }

  #peek(): Upcoming | undefined {
    return this.#ahead.peek(this.#atEnd && !this.#cutShort);
  }

  /** The message offered last is done with. */
  #advance(done: Upcoming): void {
    const state = this.#ahead.advance(done);
    if (state === "stale") return;
    if (done.position !== undefined) this.#doneUpTo = done.position;
    if (state === "used up") this.#goOn();
  }

  #noteLeftToOthers(): void {
    const { leftToOthers } = this.#context;
    if (leftToOthers.has(this)) return;
    leftToOthers.add(this);
    this.#comeBackAfter = this.#doneUpTo;
  }

  /** Too much would have to be remembered for this page: read it again when its turn comes. */
  #giveUp(page: PageInUse): void {
    page.messages = [];
    this.#run += 1;
    const comeBackAfter = this.#comeBackAfter;
    const leftToOthers = this.#context.leftToOthers.has(this);
    // Not within the caller's loop over the pages.
    queueMicrotask(() => {
      if (this.#mode !== "catching up") return;
      this.#readAgainAfter(this.#doneUpTo);
      if (leftToOthers) this.#context.leftToOthers.add(this);
      this.#comeBackAfter = comeBackAfter;
    });
  }

  #setCutShort(cutShort: boolean): void {
    this.#cutShort = cutShort;
    if (cutShort) this.#context.cutShort.add(this);
    else this.#context.cutShort.delete(this);
  }

  #dropPages(): void {
    this.#run += 1;
    this.#ahead.dropPages();
  }

  /** Whether it would send messages of this topic. */
  matches(topic: string): boolean {
    return topicMatches(this.topicFilter, topic);
  }
}
