// Holding a session's queue back while the plugin sends stored messages, and letting it go in publish order.
//
// See session-subscription.ts for what catching up is. What is held counts against the queue's limit of its session; a
// shared subscription holds at most what the queues of its members had.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import { topicMatches } from "../mqtt/topic.ts";
import type { Delivery } from "./delivery.ts";
import type { Session } from "./session.ts";
import { type CatchUpState, SessionSubscription } from "./session-subscription.ts";

/** Turns the flag on; with `holdQueue`, takes what waits for the subscription out of the queue. What is in flight stays. */
export function beginCatchUp(state: CatchUpState, holdQueue: boolean): void {
  state.catchingUp = true;
  if (!holdQueue) return;
  for (const session of state.sessions) {
    const queued = session.takeQueued((delivery) => delivery.subscription.catchUp === state);
    if (queued.length === 0) continue;
    state.held = mergeById(state.held, queued);
    for (const delivery of queued) session.queue.hold(delivery);
  }
}

/** Holds a message back that was published meanwhile; most often it is the latest. */
export function holdBack(delivery: Delivery): void {
  const { held } = delivery.subscription.catchUp;
  let at = held.length;
  while (at > 0 && (held[at - 1] as Delivery).message.id > delivery.message.id) at -= 1;
  held.splice(at, 0, delivery);
  delivery.subscription.session.queue.hold(delivery);
}

/**
 * Turns the flag off and lets everything go; for a client's own subscription also what others of its session hold of the
 * same topics: what is pushed live from now on was published later.
 */
export function goLive(state: CatchUpState): void {
  state.catchingUp = false;
  const released = state.held;
  state.held = [];
  if (state instanceof SessionSubscription) {
    released.push(...takeHeldElsewhere(state, ({ message }) => topicMatches(state.filter, message.topic)));
  }
  release(released);
}

/**
 * A stored message is delivered under this subscription: lets go what the subscription holds of earlier messages, and
 * what others of the session hold of earlier messages of the same topics. A held copy of the message itself is dropped
 * for the new one.
 */
export function releaseBefore(subscription: SessionSubscription, { id, topic }: Message): void {
  const state = subscription.catchUp;
  const { queue } = subscription.session;
  if (state.held.length === 0 && !queue.holds(topic)) return;
  const from = state.held.findIndex((delivery) => delivery.message.id >= id);
  const released = state.held.splice(0, from < 0 ? state.held.length : from);
  if (state.held[0]?.message.id === id) drop(state.held.shift() as Delivery);
  // By topic, the id up to which everything goes.
  const upTo = new Map<string, MessageId>();
  for (const { message } of released) upTo.set(message.topic, message.id);
  upTo.set(topic, id);
  if ([...upTo.keys()].some((name) => queue.holds(name))) {
    const elsewhere = takeHeldElsewhere(subscription, ({ message }) => message.id <= (upTo.get(message.topic) ?? ""));
    for (const delivery of elsewhere) {
      if (delivery.message.id === id) drop(delivery);
      else released.push(delivery);
    }
  }
  release(released);
}

/**
 * The subscription's client is gone, or the subscription is: returns what is held for its session. The catch-up of a
 * shared subscription goes on as long as another member is connected.
 */
export function leaveCatchUp(subscription: SessionSubscription): Delivery[] {
  const { session, group } = subscription;
  const state = subscription.catchUp;
  if (group === undefined || !group.hasConnectedMember) state.catchingUp = false;
  if (state.held.length === 0) return [];
  const own = state.held.filter((delivery) => delivery.subscription === subscription);
  state.held = state.held.filter((delivery) => delivery.subscription !== subscription);
  for (const delivery of own) session.queue.unhold(delivery);
  return own;
}

/**
 * The subscription was ended by its client. What it held is due to another subscription that matches, or goes out if no
 * plugin has it [MQTT-3.10.4-3 obliges only to finish what was begun]. Returns what is dropped.
 */
export function letGoOfHeld(subscription: SessionSubscription): Delivery[] {
  const { session } = subscription;
  const dropped: Delivery[] = [];
  for (const delivery of leaveCatchUp(subscription)) {
    const heir = delivery.stored ? otherMatch(session, delivery.message.topic) : undefined;
    if (heir?.catchingUp) {
      heir.held = mergeById(heir.held, [{ ...delivery, subscription: heir }]);
      session.queue.hold(delivery);
    } else if (delivery.stored && heir === undefined) {
      session.letGo(delivery);
      dropped.push(delivery);
    } else {
      session.requeue(delivery);
    }
  }
  return dropped;
}

/** A subscription of the client's own that matches; one that catches up comes first. */
function otherMatch(session: Session, topic: string): SessionSubscription | undefined {
  let match: SessionSubscription | undefined;
  for (const subscription of session.subscriptions.values()) {
    if (subscription.group !== undefined || !topicMatches(subscription.filter, topic)) continue;
    if (subscription.catchingUp) return subscription;
    match ??= subscription;
  }
  return match;
}

/** Takes out what `which` names of what other subscriptions hold for the session of this one. */
function takeHeldElsewhere(
  { session, catchUp }: SessionSubscription,
  which: (delivery: Delivery) => boolean,
): Delivery[] {
  const taken: Delivery[] = [];
  if (!session.queue.holds()) return taken;
  for (const { catchUp: other } of session.subscriptions.values()) {
    if (other === catchUp || other.held.length === 0) continue;
    const isTaken = (delivery: Delivery): boolean => delivery.subscription.session === session && which(delivery);
    const own = other.held.filter(isTaken);
    if (own.length === 0) continue;
    other.held = other.held.filter((delivery) => !isTaken(delivery));
    taken.push(...own);
  }
  return taken;
}

/** Puts these back into the queues that they came from, in publish order. */
function release(released: Delivery[]): void {
  for (const delivery of released) delivery.subscription.session.queue.unhold(delivery);
  for (const delivery of released.sort(byId)) delivery.subscription.session.requeue(delivery);
}

function drop(delivery: Delivery): void {
  const { session } = delivery.subscription;
  session.queue.unhold(delivery);
  session.letGo(delivery);
}

/** Merges two lists that are each in the order of message ids. */
export function mergeById(left: readonly Delivery[], right: readonly Delivery[]): Delivery[] {
  const merged: Delivery[] = [];
  let at = 0;
  for (const delivery of left) {
    for (let next = right[at]; next !== undefined && next.message.id < delivery.message.id; next = right[at]) {
      merged.push(next);
      at += 1;
    }
    merged.push(delivery);
  }
  for (; at < right.length; at++) merged.push(right[at] as Delivery);
  return merged;
}

/** Sorts by message id, which is publish order. */
export function byId(left: Delivery, right: Delivery): number {
  return left.message.id < right.message.id ? -1 : left.message.id > right.message.id ? 1 : 0;
}
