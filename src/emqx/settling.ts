// A session that is resumed does not go live before its process has said what it has of what the one before was sent: the rest comes
// from the store first.

import { EngineOpcode, MAX_CHECKED } from "./engine-frames.ts";
import type { Outstanding } from "./outstanding.ts";
import type { LinkSession } from "./sessions.ts";

/** How long is waited for the answer, in ms. */
const PATIENCE = 1000;

export interface SettlingParts {
  readonly outstanding: Outstanding;
  /** One of its subscriptions may go live now. */
  readonly goLive: (target: { readonly clientId: string; readonly topicFilter: string }) => void;
}

export class Settling {
  readonly #parts: SettlingParts;
  readonly #timers = new Map<LinkSession, NodeJS.Timeout>();

  constructor(parts: SettlingParts) {
    this.#parts = parts;
  }

  /** The session is resumed: asks it, unless there is nothing to ask about. */
  begin(session: LinkSession): void {
    const ids = this.#parts.outstanding
      .of(session.clientId)
      .slice(0, MAX_CHECKED)
      .map(({ id }) => id);
    if (ids.length === 0) return;
    session.isSettling = true;
    this.#timers.set(session, setTimeout(() => this.end(session), PATIENCE).unref());
    session.connection.send({ opcode: EngineOpcode.Check, session: session.number, passed: false, ids });
  }

  /** It has answered, or is over. */
  end(session: LinkSession): void {
    clearTimeout(this.#timers.get(session));
    if (!this.#timers.delete(session)) return;
    session.isSettling = false;
    for (const { wantsLive, request } of [...session.subscriptions.values()]) {
      if (wantsLive) this.#parts.goLive({ clientId: session.clientId, topicFilter: request.topicFilter });
    }
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
