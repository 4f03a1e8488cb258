// What waits until a session has answered CHECK: a resumed one is sent more, and goes live, when it has said what it has of what the
// process before was sent, and a replay at QoS 0 begins when all filters of its SUBSCRIBE are known, of which one may ask for more.

import { EngineOpcode, MAX_CHECKED } from "./engine-frames.ts";
import type { Outstanding } from "./outstanding.ts";
import type { LinkSession } from "./sessions.ts";

/** In ms. */
const PATIENCE = 1000;

export interface SettlingParts {
  readonly outstanding: Outstanding;
  /** How long is waited for the answer, in ms. */
  readonly patience?: number;
  /** One of its subscriptions may go live now. */
  readonly goLive: (target: { readonly clientId: string; readonly topicFilter: string }) => void;
  /** The client, which was resumed, may be sent more now. */
  readonly hasRoom: (clientId: string) => void;
}

interface Asked {
  readonly timer: NodeJS.Timeout;
  /** By topic filter: what is done then. */
  readonly putOff: Map<string, () => void>;
}

export class Settling {
  readonly #parts: SettlingParts;
  readonly #asked = new Map<LinkSession, Asked>();

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
    this.#ask(session, ids);
  }

  /** Does this, once for a topic filter, when the client's process has handled the packet with which its subscription came. */
  putOff(session: LinkSession, topicFilter: string, run: () => void): void {
    const asked = this.#asked.get(session) ?? this.#ask(session, []);
    asked.putOff.set(topicFilter, run);
  }

  /** It has answered, or will not. */
  end(session: LinkSession): void {
    const asked = this.#asked.get(session);
    if (asked === undefined) return;
    clearTimeout(asked.timer);
    this.#asked.delete(session);
    const { isSettling } = session;
    session.isSettling = false;
    for (const run of asked.putOff.values()) run();
    for (const { wantsLive, request } of [...session.subscriptions.values()]) {
      if (wantsLive) this.#parts.goLive({ clientId: session.clientId, topicFilter: request.topicFilter });
    }
    if (isSettling) this.#parts.hasRoom(session.clientId);
  }

  stop(): void {
    for (const { timer } of this.#asked.values()) clearTimeout(timer);
    this.#asked.clear();
  }

  #ask(session: LinkSession, ids: readonly string[]): Asked {
    const timer = setTimeout(() => this.end(session), this.#parts.patience ?? PATIENCE).unref();
    const asked = { timer, putOff: new Map<string, () => void>() };
    this.#asked.set(session, asked);
    session.connection.send({ opcode: EngineOpcode.Check, session: session.number, passed: false, ids });
    return asked;
  }
}
