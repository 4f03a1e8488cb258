// Asks the nodes about what counts as pushed to a client and has not been acknowledged for long: what has got lost on its way
// to the client's session is owed to it again.
//
// EMQX gives a message to the processes that were subscribed when it looked, and tells nobody when one of them has ended since.
// So a client may count as having what no session has. Nothing but the sessions themselves can tell.

import { EngineOpcode, MAX_CHECKED } from "./engine-frames.ts";
import type { Outstanding } from "./outstanding.ts";
import type { LinkSession, Sessions } from "./sessions.ts";

/** How often it is asked, and how long nothing may be heard of a message before, in ms. */
export const CHECK_INTERVAL = 5000;
/** Sessions that are looked at in one turn of the event loop. */
const SESSIONS_AT_ONCE = 500;

export interface DeliveryCheckParts {
  readonly sessions: Sessions;
  readonly outstanding: Outstanding;
  /** In ms. */
  readonly interval?: number;
}

export class DeliveryCheck {
  readonly #parts: DeliveryCheckParts;
  readonly #interval: number;
  readonly #timer: NodeJS.Timeout;
  /** The sessions of a round that are not looked at yet. */
  #round: Iterator<LinkSession> | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(parts: DeliveryCheckParts) {
    this.#parts = parts;
    this.#interval = parts.interval ?? CHECK_INTERVAL;
    this.#timer = setInterval(() => this.#begin(), this.#interval).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#next);
  }

  #begin(): void {
    if (this.#round !== undefined) return;
    this.#round = this.#parts.sessions.allConnected();
    this.#goOn(this.#round);
  }

  #goOn(round: Iterator<LinkSession>): void {
    for (let looked = 0; looked < SESSIONS_AT_ONCE; looked += 1) {
      const { value: session, done } = round.next();
      if (done) {
        this.#round = undefined;
        return;
      }
      this.#check(session);
    }
    this.#next = setImmediate(() => this.#goOn(round));
  }

  #check({ connection, number, clientId, since }: LinkSession): void {
    // One that has just come back sends what it has, first.
    if (performance.now() - since < this.#interval || !connection.hasRoom) return;
    const { passed, others } = this.#parts.outstanding.unheard(clientId, this.#interval, MAX_CHECKED);
    const opcode = EngineOpcode.Check;
    if (passed.length > 0) connection.send({ opcode, session: number, passed: true, ids: passed });
    if (others.length > 0) connection.send({ opcode, session: number, passed: false, ids: others });
  }
}
