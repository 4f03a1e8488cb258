// The rule of who gets a stored message: `delivery = "one_to_one"`, the first acknowledgement wins.
//
// Everything that would be different in another mode (say, one copy for each subscriber) is decided in this file.
//
// - A message is sent from the store to one client at a time: not while any connected client is being sent it.
// - Except to a session that it is owed to (owed.ts): that one gets it whoever else is being sent it.
// - The first acknowledgement removes it for everybody that it is not owed to.

import type { Message } from "../mqtt/message.ts";
import type { MessageId } from "../mqtt/message-id.ts";
import type { MessageKey } from "../store/store.ts";
import type { Claim, Claims } from "./claims.ts";
import type { Owed } from "./owed.ts";
import type { Removals } from "./removals.ts";

/**
 * - `send`: the replay may send it now.
 * - `skip`: it is acknowledged or on its way to this very client; the replay needs it no more.
 * - `taken`: another client is being sent it; if that one goes away, the replay has to come back to it.
 */
export type Decision = "send" | "skip" | "taken";

export class OneToOne {
  readonly #claims: Claims;
  readonly #owed: Owed;
  readonly #removals: Removals;

  constructor(claims: Claims, owed: Owed, removals: Removals) {
    this.#claims = claims;
    this.#owed = owed;
    this.#removals = removals;
  }

  /** May `owner` be sent this message from the store? `clientId` is absent for a shared subscription. */
  decide(owner: string, clientId: string | undefined, message: Message): Decision {
    const { id } = message;
    if (this.#removals.has(id)) return "skip";
    if (clientId !== undefined && this.#claims.has(clientId, id)) return "skip";
    if (this.#owed.isDue(owner, id)) return "send";
    if (this.#owed.isAcknowledged(id)) return "skip";
    return this.#claims.isClaimed(id) ? "taken" : "send";
  }

  /** A client acknowledged the message (or was sent it at QoS 0 from the store). */
  acknowledged(clientOwner: string, key: MessageKey, claim: Claim | undefined): void {
    this.forgive(clientOwner, key.id);
    if (claim?.replay !== undefined && claim.replay.owner !== clientOwner) this.forgive(claim.replay.owner, key.id);
    if (!this.#owed.acknowledge(key.id)) this.#removals.add(key);
  }

  /** The owner will not be sent this message after all: if it only waited for that, it is removed. */
  forgive(owner: string, id: MessageId): void {
    const removable = this.#owed.settle(owner, id);
    if (removable !== undefined) this.#removals.add(removable);
  }

  /** The owner will not be sent any of these after all. */
  forgiveAll(owner: string, which?: (key: MessageKey) => boolean): void {
    for (const key of this.#owed.settleAll(owner, which)) this.#removals.add(key);
  }
}
