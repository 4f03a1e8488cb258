// The sessions as an administrator sees and changes them: by page, by Client Identifier, subscribed, unsubscribed, kicked.

import { ReasonCode } from "../mqtt/reason-code.ts";
import type { SubscriptionRequest } from "../mqtt/subscription.ts";
import { setExpiry } from "./connect.ts";
import type { BrokerContext } from "./context.ts";
import { BrokerDatabaseError, BrokerStateError } from "./errors.ts";
import { type Page, type PageRequest, pageOf } from "./paged-walk.ts";
import type { Session } from "./session.ts";
import type { SessionSubscription } from "./session-subscription.ts";
import type { Turns } from "./turns.ts";

/** Sessions that are ended in one turn of the event loop. */
const KICKS_PER_TURN = 20;

const NO_LOCAL_OF_SHARED = "nl, No Local, cannot be 1 for a shared subscription.";

/** Made with these options, or not, and why. */
export type Subscribed = { readonly request: SubscriptionRequest } | { readonly reason: string };

export class Clients {
  readonly #context: BrokerContext;
  readonly #turns: Turns;

  constructor(context: BrokerContext, turns: Turns) {
    this.#context = context;
    this.#turns = turns;
  }

  /** The session, whether its client is connected or away; undefined: there is none. */
  get(clientId: string): Session | undefined {
    const session = this.#context.sessions.get(clientId);
    return session === undefined || this.#context.sessions.isOver(session) ? undefined : session;
  }

  /**
   * A page of the sessions, in the order in which they began; only those of `clientIds`, if given, and in that order. Without
   * `matches`: of all.
   */
  sessions(
    page: PageRequest,
    clientIds: readonly string[] | undefined,
    matches?: (session: Session) => boolean,
  ): Promise<Page<Session>> {
    const { sessions } = this.#context;
    if (clientIds === undefined && matches === undefined) {
      return this.#pageOf(sessions.values(), page, (session) => !sessions.isOver(session), sessions.size);
    }
    return this.#pageOf(
      this.#named(clientIds),
      page,
      (session) => !sessions.isOver(session) && (matches?.(session) ?? true),
    );
  }

  /** A page of the subscriptions of all sessions, or of one. Without `matches`: of all. */
  subscriptions(
    page: PageRequest,
    clientId: string | undefined,
    matches?: (subscription: SessionSubscription) => boolean,
  ): Promise<Page<SessionSubscription>> {
    const { metrics } = this.#context;
    const all = subscriptionsOf(this.#named(clientId === undefined ? undefined : [clientId]));
    const isOfAll = clientId === undefined && matches === undefined;
    return this.#pageOf(all, page, matches ?? (() => true), isOfAll ? metrics.subscriptions : undefined);
  }

  /**
   * A page of the Topic Filters that are subscribed to, without `$share/{ShareName}/`. Without `matches`: of all.
   */
  topicFilters(page: PageRequest, matches?: (topicFilter: string) => boolean): Promise<Page<string>> {
    const { router, metrics } = this.#context;
    return this.#pageOf(
      router.topicFilters(),
      page,
      matches ?? (() => true),
      matches === undefined ? metrics.topics : undefined,
    );
  }

  /**
   * Makes subscriptions for a client, connected or away, without asking it: the hooks are told, retained messages are sent.
   * Settles when they are saved, in the order of the requests. Undefined: there is no such session. Rejects with
   * `BrokerStateError`, and with `BrokerDatabaseError` for what is made but not saved in time.
   */
  async subscribe(clientId: string, requests: readonly SubscriptionRequest[]): Promise<Subscribed[] | undefined> {
    const { changes } = this.#context.persistence;
    const session = this.#changeable(clientId);
    if (session === undefined) return undefined;
    const made = requests.map((given): Subscribed => {
      // [MQTT-3.8.3-4]
      if (given.noLocal && given.topicFilter.startsWith("$share/")) return { reason: NO_LOCAL_OF_SHARED };
      const request = asVersionHasIt(session, given);
      const refused = this.#context.subscriptions.make(session, request);
      return refused === undefined ? { request } : { reason: refused.reasonString };
    });
    await this.#saved(changes);
    return made;
  }

  /** Ends subscriptions; those that the session does not hold are passed over. Otherwise as `subscribe`. */
  async unsubscribe(clientId: string, topicFilters: readonly string[]): Promise<boolean> {
    const { changes } = this.#context.persistence;
    const session = this.#changeable(clientId);
    if (session === undefined) return false;
    for (const topicFilter of topicFilters) this.#context.subscriptions.end(session, topicFilter);
    await this.#saved(changes);
    return true;
  }

  /**
   * Ends sessions; clients that are connected are disconnected (MQTT 5 clients with 0x98), and their wills are published.
   * Returns how many there were. Rejects as `subscribe`.
   */
  async kick(clientIds: readonly string[]): Promise<number> {
    const { changes } = this.#context.persistence;
    const kicked = await this.#turns.work(async (next) => {
      let kicked = 0;
      for (const clientId of clientIds) {
        const session = this.#changeable(clientId);
        if (session === undefined) continue;
        kicked += 1;
        this.#kick(session);
        if (kicked % KICKS_PER_TURN === 0) await next();
      }
      return kicked;
    });
    await this.#saved(changes);
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

  #pageOf<Item>(
    all: Iterable<Item>,
    page: PageRequest,
    matches: (item: Item) => boolean,
    count?: number,
  ): Promise<Page<Item>> {
    return this.#turns.work((next) => pageOf(all, page, next, matches, count));
  }

  #named(clientIds: readonly string[] | undefined): Iterable<Session> {
    if (clientIds === undefined) return this.#context.sessions.values();
    return [...new Set(clientIds)].flatMap((clientId) => this.get(clientId) ?? []);
  }

  #changeable(clientId: string): Session | undefined {
    if (this.#context.sessions.isKept) throw new BrokerStateError("The broker stops: no session is changed any more.");
    return this.get(clientId);
  }

  /** `changes`: how many there were before what is to be saved. */
  async #saved(changes: number): Promise<void> {
    const { persistence, options } = this.#context;
    if (persistence.changes === changes) return;
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
