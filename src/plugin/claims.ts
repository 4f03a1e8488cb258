// Which connected client is being sent which stored message, live or from the store.
//
// A claim begins when a session takes a message on and ends with its acknowledgement or with the client's connection.
// An offline session holds none. The number of claims is bounded by the windows and queues of the connected clients.

import type { MessageId } from "../mqtt/message-id.ts";
import type { MessageKey } from "../store/store.ts";

/** What a claim keeps of the replay that sent the message. */
export interface Sender {
  /** To whom the message may have been owed. */
  readonly owner: string;
  /** Messages with a higher id were published after the subscription was made. */
  readonly since: MessageId;
}

export interface Claim {
  readonly id: MessageId;
  readonly topic: string;
  /** The replay that sent it; absent: it was sent live, retained, or by the session itself. */
  readonly replay?: Sender;
  /** Nothing will be acknowledged: the claim ends when the message is written to the socket. */
  readonly atQoS0?: boolean;
}

export class Claims {
  readonly #byClient = new Map<string, Map<MessageId, Claim>>();
  readonly #claimants = new Map<MessageId, number>();

  /** Number of messages with a claim. */
  get size(): number {
    return this.#claimants.size;
  }

  /** Records a claim; one that the client holds already stays as it is. Returns whether it is new. */
  add(clientId: string, claim: Claim): boolean {
    let own = this.#byClient.get(clientId);
    if (own === undefined) {
      own = new Map();
      this.#byClient.set(clientId, own);
    } else if (own.has(claim.id)) {
      return false;
    }
    own.set(claim.id, claim);
    this.#claimants.set(claim.id, (this.#claimants.get(claim.id) ?? 0) + 1);
    return true;
  }

  has(clientId: string, id: MessageId): boolean {
    return this.#byClient.get(clientId)?.has(id) ?? false;
  }

  get(clientId: string, id: MessageId): Claim | undefined {
    return this.#byClient.get(clientId)?.get(id);
  }

  /** Whether any client is being sent the message. */
  isClaimed(id: MessageId): boolean {
    return this.#claimants.has(id);
  }

  /** Ends one claim and returns it. */
  release(clientId: string, id: MessageId): Claim | undefined {
    const own = this.#byClient.get(clientId);
    const claim = own?.get(id);
    if (own === undefined || claim === undefined) return undefined;
    own.delete(id);
    if (own.size === 0) this.#byClient.delete(clientId);
    this.#decrement(id);
    return claim;
  }

  /** Ends all claims of a client: returns them, and those messages that nobody is being sent any more. */
  releaseAll(clientId: string): { claims: Claim[]; freed: MessageKey[] } {
    const claims = [...(this.#byClient.get(clientId)?.values() ?? [])];
    this.#byClient.delete(clientId);
    const freed = claims.filter((claim) => this.#decrement(claim.id));
    return { claims, freed };
  }

  /** Returns whether that was the last claim. */
  #decrement(id: MessageId): boolean {
    const left = (this.#claimants.get(id) ?? 1) - 1;
    if (left > 0) this.#claimants.set(id, left);
    else this.#claimants.delete(id);
    return left <= 0;
  }
}
