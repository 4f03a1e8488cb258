// A connected client as its replays see it: what it has in flight from the store, and whose turn is next.

/** Something that sends to clients. */
export interface Sending {
  /** Returns whether a message was handed over. */
  sendNext(): boolean;
}

export class ReplayClient {
  readonly clientId: string;
  /** Names the client as one to whom messages may be owed; a shared subscription has an owner name of its own. */
  readonly owner: string;
  readonly clientIdAssigned: boolean;
  /** Replayed messages of this client that are not acknowledged. */
  outstanding = 0;
  readonly receiveMaximum: number;
  /** Replays that may have something to send to this client; the first has the next turn. */
  readonly #catchingUp = new Set<Sending>();
  readonly #hasRoom: () => boolean;
  #pumping = false;

  /** `hasRoom`: whether its host takes more for it now. */
  constructor(
    client: { clientId: string; clientIdAssigned: boolean; receiveMaximum: number },
    hasRoom: () => boolean = () => true,
  ) {
    this.#hasRoom = hasRoom;
    this.clientId = client.clientId;
    this.owner = clientOwner(client.clientId);
    this.clientIdAssigned = client.clientIdAssigned;
    this.receiveMaximum = client.receiveMaximum;
  }

  /** How many more messages may be replayed to it now. */
  get credit(): number {
    return this.#hasRoom() ? this.receiveMaximum - this.outstanding : 0;
  }

  addCatchingUp(replay: Sending): void {
    this.#catchingUp.add(replay);
  }

  removeCatchingUp(replay: Sending): void {
    this.#catchingUp.delete(replay);
  }

  /** Sends what credit allows, one message of each replay in turn. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (const replay of this.#catchingUp) {
      if (this.credit <= 0) break;
      // To the end of the queue, where this loop meets it again.
      if (replay.sendNext() && this.#catchingUp.delete(replay)) this.#catchingUp.add(replay);
    }
    this.#pumping = false;
  }
}

/** The owner name of a client. */
export function clientOwner(clientId: string): string {
  return `client ${clientId}`;
}

/** The owner name of a shared subscription. */
export function sharedOwner(topicFilter: string): string {
  return `shared ${topicFilter}`;
}
