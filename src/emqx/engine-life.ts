// The life of the engine that stores: a node's configuration is checked, put to work in place of the one before, and told to all
// nodes as settings; health is told whenever it changes.
//
// One configuration is worked on at a time. While one engine gives way to the next, publishes wait, and what clients acknowledge, subscribe and unsubscribe. An engine that does not start leaves
// them waiting, until the nodes' time for an answer is up, rather than letting them through unstored.

import { join } from "node:path";
import type { Logger } from "../mqtt/logger.ts";
import type { Engine, EngineModule } from "../plugin/engine-module.ts";
import { HeldPublishes } from "../plugin/held-publishes.ts";
import type { Refusal } from "../plugin/hooks.ts";
import type { EmqxHost } from "./emqx-host.ts";
import { EngineOpcode, type Settings } from "./engine-frames.ts";
import { shortText } from "./frame-fields.ts";
import type { Link } from "./link.ts";
import type { ConfigureFrame } from "./node-frames.ts";

/** Configurations that may wait for the one that is worked on. */
const MAX_WAITING = 64;
/** How often the store's health is looked at, in ms. */
const HEALTH_INTERVAL = 500;
/** What a node waits for an answer more than the store's time, in ms: the engine answers first unless it hangs. */
const ANSWER_ROOM = 1000;

export interface EngineLifeParts {
  readonly module: EngineModule;
  readonly host: () => EmqxHost;
  /** Relative paths of configurations begin here. */
  readonly dataDirectory: string;
  readonly logger: Logger;
}

/** To one CONFIGURE. */
interface ConfigureAnswers {
  answer(): void;
  /** Tells the log as well. */
  refuse(problem: string): void;
}

type Config = Readonly<Record<string, unknown>>;

interface Running {
  /** Absent: it could not be started. */
  readonly engine?: Engine;
  /** The configuration with every key, as text to be compared. */
  readonly text: string;
  readonly settings: Settings;
}

export class EngineLife {
  readonly #parts: EngineLifeParts;
  readonly #configPath: string;
  readonly #timer: NodeJS.Timeout;
  #running: Running | undefined;
  /** What waits for the next engine; it stays when one could not be started. */
  #held: HeldPublishes | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** One engine gives way to the next: what is told of health is the one's or the other's. */
  #isChanging = false;
  /** As it was told last. */
  #health: string | undefined;

  constructor(parts: EngineLifeParts) {
    this.#parts = parts;
    this.#configPath = join(parts.dataDirectory, "config.hocon");
    this.#timer = setInterval(() => this.#tellHealth(), HEALTH_INTERVAL).unref();
  }

  get engine(): Engine | undefined {
    return this.#running?.engine;
  }

  /** Answers CONFIGURE, once those before are answered. */
  configure(link: Link, { request, json }: ConfigureFrame): void {
    const { logger } = this.#parts;
    // The frame is a view of what was read.
    const text = Buffer.from(json).toString("utf8");
    const answer = (problem?: string): void => {
      link.send({ opcode: EngineOpcode.Configured, request, ...(problem === undefined ? {} : { problem }) });
    };
    const refuse = (problem: string): void => {
      logger.warn({ node: link.nodeName }, `a configuration from EMQX is refused: ${shortText(problem)}`);
      answer(problem);
    };
    if (this.#waiting >= MAX_WAITING) {
      refuse(`${MAX_WAITING} configurations wait already: try again later.`);
      return;
    }
    this.#waiting += 1;
    this.#last = this.#last
      .then(() => this.#configure(link, text, { answer, refuse }))
      .catch((error: unknown) => {
        logger.error({ err: error }, "a configuration could not be put to work");
        answer(`The engine failed: ${causeOf(error)}`);
      })
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  /** Finishes what was begun. No frame may come any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#last;
    await this.#running?.engine?.stop();
    this.#running = undefined;
  }

  async #configure(link: Link, text: string, { answer, refuse }: ConfigureAnswers): Promise<void> {
    if (link.isBroken) return;
    const { module, logger } = this.#parts;
    const config = parsed(text);
    if (config === undefined) {
      refuse("The configuration is no JSON object.");
      return;
    }
    const problems = await module.checkConfig(config, this.#configPath, true);
    if (problems.length > 0) {
      refuse(problems.map(({ message }) => message).join("; "));
      return;
    }
    const complete = module.completeConfig(config);
    const canonical = JSON.stringify(complete);
    const isNew = this.#running?.engine === undefined || this.#running.text !== canonical;
    // When a node starts, a database that is away is no error: the store comes back by itself.
    if (isNew && link.isUp) {
      const problem = await module.checkBackend(config, this.#configPath);
      if (problem !== undefined) {
        refuse(`${problem} Nothing was changed.`);
        return;
      }
    }
    if (isNew) {
      if (this.#running !== undefined && !link.isUp) {
        logger.warn(
          { node: link.nodeName },
          "a node comes with another configuration, which replaces the one that ran",
        );
      }
      await this.#changeOver(config, complete, canonical);
    }
    answer();
    this.#tellSettings(link, isNew);
  }

  /** The next engine takes over from the one that runs; publishes wait meanwhile. */
  async #changeOver(config: Config, complete: Config, text: string): Promise<void> {
    const { module, logger } = this.#parts;
    const host = this.#parts.host();
    const before = this.#running;
    const settings = settingsOf(complete, []);
    // The first one has nobody to wait for: no publish comes before the settings.
    if (before !== undefined && this.#held === undefined) {
      this.#held = new HeldPublishes();
      host.attachHooks(this.#held);
    }
    this.#running = { text: "", settings };
    this.#isChanging = true;
    let engine: Engine;
    try {
      await before?.engine?.stop();
      engine = await module.createEngine({ host, config, configPath: this.#configPath, logger });
      await engine.start();
    } finally {
      this.#isChanging = false;
    }
    host.onUnstorable = complete.on_unstorable as Refusal["onUnstorable"];
    this.#running = { engine, text, settings: settingsOf(complete, engine.stores?.topics ?? []) };
    const held = this.#held;
    this.#held = undefined;
    held?.tellEvents(engine.hooks);
    host.attachHooks(engine.hooks);
    held?.handOver(engine.hooks);
    this.#tellStored(engine);
  }

  #tellStored({ stores }: Engine): void {
    const { logger } = this.#parts;
    if (stores === undefined) logger.info({}, "no database is enabled: nothing is stored");
    else if (stores.topics.length > 0) logger.info({ store: stores.where }, "the engine stores messages");
    else {
      const message = "topics is empty: no message is stored, only subscriptions; what was stored before is delivered";
      logger.warn({ store: stores.where }, message);
    }
  }

  #tellSettings(link: Link, isNew: boolean): void {
    const running = this.#running;
    if (running === undefined) return;
    const frame = { opcode: EngineOpcode.Settings, ...running.settings } as const;
    this.#health = this.#problem();
    for (const other of this.#parts.host().links) {
      if (other !== link && !(isNew && other.isUp)) continue;
      other.send(frame);
      other.isSettled();
      this.#sendHealth(other);
    }
  }

  #tellHealth(): void {
    const problem = this.#problem();
    if (this.#running === undefined || this.#isChanging || problem === this.#health) return;
    this.#health = problem;
    for (const link of this.#parts.host().links) if (link.isUp) this.#sendHealth(link);
  }

  #sendHealth(link: Link): void {
    const problem = this.#health;
    link.send({ opcode: EngineOpcode.Health, ...(problem === undefined ? {} : { problem }) });
  }

  #problem(): string | undefined {
    const { engine } = this.#running ?? {};
    if (engine === undefined) return "The engine could not be started: its log has the cause.";
    const health = engine.storeHealth();
    if (health?.status !== "error") return undefined;
    return health.error?.message ?? "The store is away.";
  }
}

function parsed(text: string): Config | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Config) : undefined;
  } catch {
    return undefined;
  }
}

function settingsOf(config: Config, topics: readonly string[]): Settings {
  return {
    topics,
    ignoreStoreErrors: config.on_store_error === "ignore",
    asyncPublishAck: config.publish_ack === "async",
    acknowledgeUnstorable: config.on_unstorable === "acknowledge",
    timeout: (config.store_timeout as number) + ANSWER_ROOM,
  };
}

function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
