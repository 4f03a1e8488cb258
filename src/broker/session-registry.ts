// All sessions by Client Identifier: how they begin, outlive their connections, and end.

import { ReasonCode } from "../mqtt/reason-code.ts";
import { goLive } from "./catch-up.ts";
import type { Delivery } from "./delivery.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { Metrics } from "./metrics.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { Router } from "./router.ts";
import { Session, type SessionContext } from "./session.ts";
import type { Wills } from "./wills.ts";

interface RegistryContext extends SessionContext {
  readonly options: SessionContext["options"] & { readonly maxSessions: number };
  readonly hooks: HookRunner;
  readonly metrics: Metrics;
  readonly router: Router;
  readonly wills: Wills;
  readonly persistence: Persistence;
}

export interface OpenedSession {
  readonly session: Session;
  /** The session was there before (Session Present). */
  readonly isPresent: boolean;
}

export class SessionRegistry {
  readonly #context: RegistryContext;
  readonly #sessions = new Map<string, Session>();

  #isKept = false;

  constructor(context: RegistryContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  /** In the order in which they began. Those that come and go during a walk may be in it or not. */
  values(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Whether the session's time has passed, even if nobody has looked since. */
  isOver(session: Session): boolean {
    return !session.isConnected && session.expiresAt <= this.#context.now();
  }

  /**
   * The session for a new connection: resumed, or new [MQTT-3.1.2-4, -5]. A connection that the client still has is
   * taken over [MQTT-3.1.4-3]. A session whose time has passed is not resumed, even if nobody has looked since
   * [MQTT-4.1.0-2]. Undefined: there are too many sessions.
   */
  open(clientId: string, isAssigned: boolean, cleanStart: boolean): OpenedSession | undefined {
    const before = this.#sessions.get(clientId);
    if (before?.link !== undefined) {
      this.#context.metrics.takeovers += 1;
      before.link.dismiss(ReasonCode.SessionTakenOver, "Another connection has come with the same Client Identifier.");
    }
    // The session may have ended with the connection that was taken over.
    const held = this.#sessions.get(clientId);
    if (held !== undefined && !cleanStart && held.expiresAt > this.#context.now()) {
      this.#context.metrics.sessionsResumed += 1;
      this.#context.wills.cancel(held);
      return { session: held, isPresent: true };
    }
    if (held !== undefined) {
      this.terminate(held);
      if (cleanStart) this.#context.metrics.sessionsDiscarded += 1;
      else this.#context.metrics.sessionsExpired += 1;
    }
    if (this.#sessions.size >= this.#context.options.maxSessions) return undefined;
    const session = new Session(this.#context, clientId, isAssigned);
    this.#add(session);
    this.#context.metrics.sessionsCreated += 1;
    return { session, isPresent: false };
  }

  /** A session that was saved by a broker before this one. Its client is away. */
  restore(session: Session): void {
    this.#add(session);
  }

  #add(session: Session): void {
    this.#sessions.set(session.clientId, session);
    this.#context.metrics.sessions = this.#sessions.size;
  }

  /** From now on no session ends: the broker stops. */
  keep(): void {
    this.#isKept = true;
  }

  get isKept(): boolean {
    return this.#isKept;
  }

  /** Nobody sends stored messages any more: live ones are pushed to all subscriptions again. */
  endCatchUps(): void {
    for (const { subscriptions } of this.#sessions.values()) {
      for (const { catchUp } of subscriptions.values()) if (catchUp.catchingUp) goLive(catchUp);
    }
  }

  /** The client's connection is gone: the session ends with it, or waits for the client. */
  disconnected(session: Session): void {
    const now = this.#context.now();
    session.expiresAt = now + session.expiryInterval * 1000;
    if (session.client !== undefined) session.client.disconnectedAt = now;
    if (session.saved !== undefined) this.#context.persistence.keepSession(session);
    if (this.#isKept) return;
    if (session.expiryInterval === 0) {
      this.terminate(session);
      return;
    }
    // What was not sent yet need not wait for this client where another member is there, or where a plugin stores it.
    const shared = session.takeQueued(
      ({ subscription: { group }, stored }) => group !== undefined && (stored || group.hasConnectedMember),
    );
    for (const delivery of shared) session.letGo(delivery);
    this.#handOn(shared);
  }

  /** Ends the sessions whose clients were away for too long. `now` in ms since the epoch. */
  expire(now: number): void {
    if (this.#isKept) return;
    for (const session of this.#sessions.values()) {
      if (session.isConnected || session.expiresAt > now) continue;
      this.terminate(session);
      this.#context.metrics.sessionsExpired += 1;
    }
  }

  /** Ends a session whose client is not connected. What other members of shared subscriptions may get goes to them. */
  terminate(session: Session): void {
    const { hooks, metrics, persistence, router, wills } = this.#context;
    this.#sessions.delete(session.clientId);
    persistence.endSession(session);
    metrics.sessions = this.#sessions.size;
    metrics.sessionsTerminated += 1;
    const shared = session.takeShared();
    session.queue.clear();
    session.inflight.clear();
    for (const topicFilter of [...session.subscriptions.keys()]) router.unsubscribe(session, topicFilter);
    wills.publishAtSessionEnd(session);
    hooks.sessionTerminated(session.clientId);
    this.#handOn(shared);
  }

  /** Gives deliveries of shared subscriptions to other members. */
  #handOn(deliveries: readonly Delivery[]): void {
    for (const { message, stored, subscription } of deliveries) {
      const { group } = subscription;
      // A plugin that catches up on behalf of the shared subscription sends what it holds itself.
      if (group === undefined || (stored && group.catchingUp)) continue;
      if (group.members.length > 0) group.offer(message, stored);
      else this.#context.metrics.dropped.noMember += 1;
    }
  }
}
