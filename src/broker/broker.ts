// The embedded MQTT broker: puts its parts together, and starts and stops them.

import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../mqtt/logger.ts";
import { MessageIdGenerator } from "../mqtt/message-id.ts";
import { ReasonCode } from "../mqtt/reason-code.ts";
import { RefusalDelays } from "../mqtt/refusal-delays.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import type { Hooks } from "../plugin/hooks.ts";
import type { Host } from "../plugin/host.ts";
import { AdministratorPublishes } from "./administrator-publishes.ts";
import { ClientEvents } from "./client-events.ts";
import { Clients } from "./clients.ts";
import { Connection } from "./connection.ts";
import type { BrokerContext } from "./context.ts";
import { BrokerStateError } from "./errors.ts";
import { HookRunner } from "./hook-runner.ts";
import { BrokerHost } from "./host.ts";
import { type BrokerAddresses, Listeners } from "./listeners.ts";
import { Metrics } from "./metrics.ts";
import { type BrokerOptions, resolveOptions } from "./options.ts";
import { FlushScheduler } from "./outbound.ts";
import { DatabaseLink } from "./persistence/database-link.ts";
import { Persistence } from "./persistence/persistence.ts";
import { restore } from "./persistence/restore.ts";
import { RetainedMessages } from "./retained.ts";
import { Router } from "./router.ts";
import { SessionRegistry } from "./session-registry.ts";
import { Subscriptions } from "./subscriptions.ts";
import { SysTopics } from "./sys-topics.ts";
import { Turns } from "./turns.ts";
import { Wills } from "./wills.ts";

/** How often timeouts are looked at, in ms. */
const TICK = 250;
/** How often at most sessions that expire are looked for, in ms. */
const SESSION_CHECK = 1000;
/** How often at most the same trouble is logged, in ms. */
const LOG_INTERVAL = 10_000;
/** Sockets that may be open beyond `maxConnections`: clients that are about to connect or to be told that they may not. */
const SPARE_SOCKETS = 1000;
/** How long `stop` waits for publishes under way and for last packets to be written, in ms. */
const STOP_TIMEOUT = 2000;
/** How often `stop` looks whether all is done, in ms. */
const STOP_POLL = 10;

/** How long `stop` waits for the database to be written and closed, in ms. */
const SAVE_TIMEOUT = 1000;

export interface BrokerSettings {
  readonly options?: Partial<BrokerOptions>;
  /** The file that keeps what outlives the broker; absent: nothing does. */
  readonly databasePath?: string;
  readonly hooks?: Hooks;
  readonly logger: Logger;
}

export class Broker {
  readonly options: BrokerOptions;
  readonly metrics = new Metrics();
  /** Gives ids to messages. */
  readonly ids = new MessageIdGenerator();
  /** What a plugin asks of the broker. */
  readonly host: Host;
  /** What an administrator sees and does. */
  readonly clients: Clients;
  readonly publishes: AdministratorPublishes;

  readonly #context: BrokerContext;
  readonly #database: DatabaseLink | undefined;
  readonly #persistence: Persistence;
  readonly #hooks: HookRunner;
  readonly #connections = new Set<Connection>();
  readonly #listeners: Listeners;
  #addresses: BrokerAddresses = {};
  #ticker: NodeJS.Timeout | undefined;
  /** Times of the monotonic clock, in ms. */
  #acceptFailureLogged = Number.NEGATIVE_INFINITY;
  #sessionsChecked = 0;
  #state: "new" | "started" | "stopped" = "new";

  /** Throws `BrokerOptionError`. */
  constructor({ options, databasePath, hooks, logger }: BrokerSettings) {
    this.options = resolveOptions(options);
    this.#hooks = new HookRunner(logger, this.metrics);
    this.#hooks.hooks = hooks;
    const now = (): number => Date.now();
    this.#database = databasePath === undefined ? undefined : new DatabaseLink(databasePath, logger);
    this.#persistence = new Persistence(this.#database, this.ids);
    const base = {
      options: this.options,
      logger,
      metrics: this.metrics,
      hooks: this.#hooks,
      ids: this.ids,
      persistence: this.#persistence,
      router: new Router(this.metrics),
      refusalDelays: new RefusalDelays(),
      queueFull: new RepeatedWarning(
        logger,
        "a message is dropped, since too much waits for the client: raise mqtt.max_mqueue_len or max_mqueue_bytes",
        now,
      ),
      willRefused: new RepeatedWarning(logger, "a will was refused and is lost", now),
      flushes: new FlushScheduler(),
      now,
    };
    const sysTopics = new SysTopics(base);
    const clientEvents = new ClientEvents({ ...base, sysTopics });
    const publishing = { ...base, retained: new RetainedMessages(base), sysTopics, clientEvents };
    const wills = new Wills(publishing);
    const sessions = new SessionRegistry({ ...publishing, wills });
    this.#context = { ...publishing, wills, sessions, subscriptions: new Subscriptions(publishing) };
    this.host = new BrokerHost(this.#context);
    const turns = new Turns();
    this.clients = new Clients(this.#context, turns);
    this.publishes = new AdministratorPublishes(this.#context, turns);
    this.#listeners = new Listeners({
      options: this.options,
      logger,
      accept: (stream) => this.accept(stream),
      failed: (error) => this.#acceptFailed(error),
      maxSockets: this.options.maxConnections + SPARE_SOCKETS,
    });
  }

  /**
   * Calls these hooks from now on, in place of others. Clients that are connected already are told of like ones that have just
   * resumed their sessions: what waits in the store for their subscriptions comes to them.
   */
  attachHooks(hooks: Hooks): void {
    this.detachHooks();
    this.#hooks.hooks = hooks;
    for (const connection of this.#connections) connection.announce();
  }

  /** Calls no hook any more. Subscriptions that catch up go live, without what they have not had from the store yet. */
  detachHooks(): void {
    if (!this.#hooks.active) return;
    this.#hooks.hooks = undefined;
    this.#context.sessions.endCatchUps();
  }

  /**
   * Takes up what outlived the broker before, and listens. Resolves with the addresses that were bound. Rejects with
   * `ListenError`, `CertificateError`, `BrokerDatabaseError` and `BrokerStateError`.
   */
  async start(): Promise<BrokerAddresses> {
    if (this.#state !== "new") throw new BrokerStateError("A broker starts once: make a new one.");
    try {
      if (this.#database !== undefined) {
        this.#database.start();
        await restore(this.#context, this.#database);
      }
      const addresses = await this.#listeners.listen();
      this.#addresses = addresses;
      this.#state = "started";
      this.#ticker = setInterval(() => this.#tick(), TICK);
      this.#context.sysTopics.start();
      return addresses;
    } catch (error) {
      // Clients may have come through a listener that had begun.
      await this.stop();
      throw error;
    }
  }

  /** Where it listens; nowhere before it has started and after it was stopped. */
  get addresses(): BrokerAddresses {
    return this.#state === "started" ? this.#addresses : {};
  }

  /** Reads the certificates again, for connections to come. What cannot be used is logged, and what was read before stays. */
  reloadCertificates(): Promise<void> {
    return this.#listeners.reloadCertificates();
  }

  /** Takes any stream of bytes as a client's connection. */
  accept(stream: Duplex): void {
    const { maxConnections } = this.options;
    if (this.#state === "stopped" || this.#connections.size >= maxConnections + SPARE_SOCKETS) {
      this.metrics.socketsRefused += 1;
      stream.on("error", () => {});
      stream.destroy();
      return;
    }
    this.metrics.socketsAccepted += 1;
    const connection = new Connection(this.#context, stream, () => this.#connections.delete(connection));
    this.#connections.add(connection);
  }

  /**
   * Disconnects all clients (MQTT 5 clients with 0x8B), publishes their wills, waits a few seconds at most for what is
   * under way, and closes. What outlives the broker is saved. Sessions are not ended: no `sessionTerminated` is called.
   */
  async stop(): Promise<void> {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    this.#listeners.close();
    this.#context.sessions.keep();
    for (const connection of this.#connections) connection.dismiss(ReasonCode.ServerShuttingDown, "The server stops.");
    this.#context.wills.publishUnsaved();
    const end = performance.now() + STOP_TIMEOUT;
    while ((this.#connections.size > 0 || this.metrics.publishesWaiting > 0) && performance.now() < end) {
      await delay(STOP_POLL);
    }
    clearInterval(this.#ticker);
    this.#context.sysTopics.stop();
    for (const connection of this.#connections) connection.destroy();
    this.#listeners.destroy();
    if (!(await this.#persistence.saved(SAVE_TIMEOUT))) {
      this.#context.logger.error({}, "the last changes of sessions, wills and retained messages could not be saved");
    }
    await this.#database?.stop(SAVE_TIMEOUT);
  }

  #acceptFailed(error: Error): void {
    this.metrics.socketsRefused += 1;
    const now = performance.now();
    if (now - this.#acceptFailureLogged < LOG_INTERVAL) return;
    this.#acceptFailureLogged = now;
    this.#context.logger.warn({ err: error }, "a connection could not be accepted: raise the limit of open files");
  }

  #tick(): void {
    const now = performance.now();
    this.metrics.noteHighest();
    for (const connection of this.#connections) connection.checkTime(now);
    const time = this.#context.now();
    this.#context.wills.publishDue(time);
    if (now - this.#sessionsChecked < SESSION_CHECK) return;
    this.#sessionsChecked = now;
    this.#context.sessions.expire(time);
  }
}
