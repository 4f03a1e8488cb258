// Holding a session's queue back while the plugin sends stored messages, and letting it go in publish order.
//
// See session-subscription.ts for what catching up is. What is held counts against the queue's limit of its session; a
// shared subscription holds at most what the queues of its members had.

import type { MessageId } from "../mqtt/message-id.ts";
import type { Delivery } from "./delivery.ts";
import type { CatchUpState, SessionSubscription } from "./session-subscription.ts";

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

/** Turns the flag off and lets everything go. */
export function goLive(state: CatchUpState): void {
  state.catchingUp = false;
  release(state, state.held.length);
}

/** Lets go what was published before this message; a held copy of the message itself is dropped for the new one. */
export function releaseBefore(state: CatchUpState, id: MessageId): void {
  if (state.held.length === 0) return;
  const from = state.held.findIndex((delivery) => delivery.message.id >= id);
  release(state, from < 0 ? state.held.length : from);
  const first = state.held[0];
  if (first?.message.id !== id) return;
  first.subscription.session.queue.unhold(first);
  state.held.shift();
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

/** Puts the first `count` back into the queues that they came from. */
function release(state: CatchUpState, count: number): void {
  const released = state.held.splice(0, count);
  for (const delivery of released) delivery.subscription.session.queue.unhold(delivery);
  for (const delivery of released) delivery.subscription.session.requeue(delivery);
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
