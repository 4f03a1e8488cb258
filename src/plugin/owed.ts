// Which stored messages are owed to sessions that were subscribed and catching up when the message was published.
//
// Such a message was not pushed to them, so they depend on the store; somebody else's acknowledgement must not remove
// it before they have had it. An owner is a client or a shared subscription. Both bounds are hard: at a bound the
// message is not owed, and an acknowledgement removes it.

import type { MessageId } from "../mqtt/message-id.ts";
import type { MessageKey } from "../store/store.ts";

export interface OwedLimits {
  readonly perOwner: number;
  readonly total: number;
}

interface Debt {
  readonly key: MessageKey;
  /** Each owner, and whether the message is on its way to it. */
  readonly owners: Map<string, boolean>;
  /** Acknowledged by a client: to be removed as soon as nobody is owed it. */
  acknowledged: boolean;
}

export class Owed {
  readonly #limits: OwedLimits;
  readonly #debts = new Map<MessageId, Debt>();
  readonly #byOwner = new Map<string, Set<MessageId>>();
  #size = 0;

  constructor(limits: OwedLimits) {
    this.#limits = limits;
  }

  /** Number of messages owed, counted once for each owner. */
  get size(): number {
    return this.#size;
  }

  /** Notes a debt. Returns false when a bound is reached. */
  add(owner: string, key: MessageKey): boolean {
    const own = this.#byOwner.get(owner);
    if (own?.has(key.id)) return true;
    if (this.#size >= this.#limits.total || (own?.size ?? 0) >= this.#limits.perOwner) return false;
    if (own === undefined) this.#byOwner.set(owner, new Set([key.id]));
    else own.add(key.id);
    const debt = this.#debts.get(key.id);
    if (debt === undefined) this.#debts.set(key.id, { key, owners: new Map([[owner, false]]), acknowledged: false });
    else debt.owners.set(owner, false);
    this.#size += 1;
    return true;
  }

  /** Whether the message is owed to this owner and not on its way to it. */
  isDue(owner: string, id: MessageId): boolean {
    return this.#debts.get(id)?.owners.get(owner) === false;
  }

  /** Notes that the message is on its way to the owner, or (false) that it did not get there. */
  setUnderWay(owner: string, id: MessageId, underWay: boolean): void {
    const owners = this.#debts.get(id)?.owners;
    if (owners?.has(owner)) owners.set(owner, underWay);
  }

  /** Whether a client has acknowledged the message while others are owed it. */
  isAcknowledged(id: MessageId): boolean {
    return this.#debts.get(id)?.acknowledged ?? false;
  }

  /** A client acknowledged the message. Returns whether its removal must wait for others. */
  acknowledge(id: MessageId): boolean {
    const debt = this.#debts.get(id);
    if (debt === undefined) return false;
    debt.acknowledged = true;
    return true;
  }

  /** The owner has had the message, or never will. Returns the key if the message is now to be removed. */
  settle(owner: string, id: MessageId): MessageKey | undefined {
    const debt = this.#debts.get(id);
    if (!debt?.owners.delete(owner)) return undefined;
    this.#size -= 1;
    const own = this.#byOwner.get(owner);
    own?.delete(id);
    if (own?.size === 0) this.#byOwner.delete(owner);
    if (debt.owners.size > 0) return undefined;
    this.#debts.delete(id);
    return debt.acknowledged ? debt.key : undefined;
  }

  /** Settles all that the owner is owed and `which` names. Returns what is now to be removed. */
  settleAll(owner: string, which: (key: MessageKey) => boolean = () => true): MessageKey[] {
    const removable: MessageKey[] = [];
    for (const id of [...(this.#byOwner.get(owner) ?? [])]) {
      const debt = this.#debts.get(id);
      if (debt === undefined || !which(debt.key)) continue;
      const key = this.settle(owner, id);
      if (key !== undefined) removable.push(key);
    }
    return removable;
  }
}
