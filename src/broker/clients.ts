// The sessions as an administrator sees and changes them: by page, by Client Identifier, subscribed, unsubscribed, kicked.

import { setImmediate as nextTurn } from "node:timers/promises";
import { ReasonCode } from "../mqtt/reason-code.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { setExpiry } from "./connect.ts";
import type { BrokerContext } from "./context.ts";
import { BrokerDatabaseError, BrokerStateError } from "./errors.ts";
import { type Page, type PageRequest, pageOf } from "./paged-walk.ts";
import type { Session } from "./session.ts";
import type { SessionSubscription } from "./session-subscription.ts";

/** Sessions that are ended in one turn of the event loop. */
const KICKS_PER_TURN = 20;

/** Made with these options, or not, and why. */
export type Subscribed = { readonly request: SubscriptionRequest } | { readonly reason: string };

export class Clients {
  readonly #context: BrokerContext;

  constructor(context: BrokerContext) {
    this.#context = context;
  }

  /** The session, whether its client is connected or away; undefined: there is none. */
  get(clientId: string): Session | undefined {
    const session = this.#context.sessions.get(clientId);
    return session === undefined || this.#context.sessions.isOver(session) ? undefined : session;
  }

  /** A page of the sessions, in the order in which they began. Without `matches`: of all. */
  sessions(page: PageRequest, matches?: (session: Session) => boolean): Promise<Page<Session>> {
    const { sessions } = this.#context;
    const isThere = (session: Session): boolean => !sessions.isOver(session);
    if (matches === undefined) return pageOf(sessions.values(), page, isThere, sessions.size);
    return pageOf(sessions.values(), page, (session) => isThere(session) && matches(session));
  }

  /** A page of the subscriptions of all sessions. Without `matches`: of all. */
  subscriptions(
    page: PageRequest,
    matches?: (subscription: SessionSubscription) => boolean,
  ): Promise<Page<SessionSubscription>> {
    const all = subscriptionsOf(this.#context.sessions.values());
    return matches === undefined
      ? pageOf(all, page, () => true, this.#context.metrics.subscriptions)
      : pageOf(all, page, matches);
  }

  /**
   * Makes subscriptions for a client, connected or away, without asking it: the hooks are told, retained messages are sent.
   * Settles when they are saved, in the order of the requests. Undefined: there is no such session. Rejects with
   * `BrokerStateError`.
   */
  async subscribe(clientId: string, requests: readonly SubscriptionRequest[]): Promise<Subscribed[] | undefined> {
    const session = this.#changeable(clientId);
    if (session === undefined) return undefined;
    const made = requests.map((given): Subscribed => {
      const request = asVersionHasIt(session, given);
      const refused = this.#context.subscriptions.make(session, request);
      return refused === undefined ? { request } : { reason: refused.reasonString };
    });
    await this.#saved();
    return made;
  }

  /** Ends subscriptions; those that the session does not hold are passed over. Otherwise as `subscribe`. */
  async unsubscribe(clientId: string, topicFilters: readonly string[]): Promise<boolean> {
    const session = this.#changeable(clientId);
    if (session === undefined) return false;
    for (const topicFilter of topicFilters) this.#context.subscriptions.end(session, topicFilter);
    await this.#saved();
    return true;
  }

  /**
   * Ends sessions; clients that are connected are disconnected (MQTT 5 clients with 0x98), and their wills are published.
   * Returns how many there were. Rejects with `BrokerStateError`.
   */
  async kick(clientIds: readonly string[]): Promise<number> {
    let kicked = 0;
    for (const clientId of clientIds) {
      const session = this.#changeable(clientId);
      if (session === undefined) continue;
      kicked += 1;
      this.#kick(session);
      if (kicked % KICKS_PER_TURN === 0) await nextTurn();
    }
    await this.#saved();
    return kicked;
  }

  #kick(session: Session): void {
    const { link } = session;
    if (link === undefined) {
      this.#context.sessions.terminate(session);
      return;
    }
    // It ends with its connection.
    setExpiry(this.#context, session, 0);
    link.dismiss(ReasonCode.AdministrativeAction, "An administrator has ended the session.");
  }

  #changeable(clientId: string): Session | undefined {
    if (this.#context.sessions.isKept)
      throw new BrokerStateError("The broker stops: its sessions do not change any more.");
    return this.get(clientId);
  }

  async #saved(): Promise<void> {
    const { persistence, options } = this.#context;
    if (await persistence.saved(options.saveTimeout * 1000)) return;
    throw new BrokerDatabaseError("What was changed could not be saved in time: the log says why.");
  }
}

function* subscriptionsOf(sessions: Iterable<Session>): Generator<SessionSubscription> {
  for (const { subscriptions } of sessions) yield* subscriptions.values();
}

/** Before MQTT 5 a client knows neither No Local nor Retain As Published. */
function asVersionHasIt({ client }: Session, request: SubscriptionRequest): SubscriptionRequest {
  if (client === undefined || client.version === 5) return request;
  return { ...request, noLocal: false, retainAsPublished: false };
}
