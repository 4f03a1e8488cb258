// The life of plugins in this broker: installed, started, stopped, moved, removed. One changes at a time, and one runs at a time.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Logger } from "../../mqtt/logger.ts";
import type { Engine, EngineModule } from "../../plugin/engine-module.ts";
import { HeldPublishes } from "../../plugin/held-publishes.ts";
import type { Hooks } from "../../plugin/hooks.ts";
import type { Host } from "../../plugin/host.ts";
import { ApiError } from "../api-error.ts";
import type { AllowedPackages } from "./allowed-packages.ts";
import { findPackages, packageSource, removePackage, writePackage } from "./installed-package.ts";
import { readPackage } from "./package-archive.ts";
import {
  badConfig,
  causeOf,
  completeConfig,
  configPath,
  configText,
  loadEngine,
  newConfig,
  readConfig,
  told,
  writeConfig,
} from "./plugin-config.ts";
import { pluginOfArchive } from "./plugin-name.ts";
import { nameOf, type PluginSource } from "./plugin-source.ts";
import { PluginStates } from "./plugin-states.ts";
import { placeOf } from "./position.ts";
import { maskSecrets } from "./secrets.ts";

/** Changes that may wait for the one under way. */
const MAX_WAITING = 16;

/** What runs plugins: the broker. */
export interface PluginHost {
  readonly host: Host;
  attachHooks(hooks: Hooks): void;
  detachHooks(): void;
}

export interface PluginManagerParts {
  readonly broker: PluginHost;
  /** Where packages and configurations lie: `plugins` in the data directory. */
  readonly folder: string;
  /** The plugin that the broker brings; absent: none. */
  readonly builtIn?: PluginSource;
  readonly allowed: AllowedPackages;
  readonly logger: Logger;
  /** Called whenever another engine runs, or none any more. */
  readonly changed: (engine: Engine | undefined) => void;
}

export interface InstalledPlugin {
  readonly source: PluginSource;
  /** Absent: it is stopped. */
  readonly engine?: Engine;
  /** Why it could not be started with the broker. */
  readonly problem?: string;
}

/** What keeps a plugin from its work; undefined: nothing, or it was stopped on purpose. */
export function problemOf({ engine, problem }: InstalledPlugin): string | undefined {
  return engine === undefined ? problem : engine.storeHealth()?.error?.message;
}

interface Running {
  readonly nameAndVersion: string;
  readonly engine: Engine;
}

export class PluginManager {
  readonly #parts: PluginManagerParts;
  readonly #states: PluginStates;
  readonly #sources = new Map<string, PluginSource>();
  readonly #problems = new Map<string, string>();
  #running: Running | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(parts: PluginManagerParts) {
    this.#parts = parts;
    this.#states = new PluginStates(join(parts.folder, "plugins.json"), (problem) => parts.logger.warn({}, problem));
  }

  /** Finds what is installed, and starts what is enabled. One that cannot be started is logged. Never rejects. */
  async start(): Promise<void> {
    const { folder, builtIn, logger } = this.#parts;
    const { sources, problems } = await findPackages(folder);
    for (const problem of problems) logger.warn({}, problem);
    for (const source of [...(builtIn === undefined ? [] : [builtIn]), ...sources]) {
      this.#sources.set(nameOf(source), source);
    }
    // The plugin that the broker brings runs unless it was stopped, or an installed one has its place.
    const isReplaced = sources.some((source) => source.info.name === builtIn?.info.name && this.#isEnabled(source));
    for (const [name, source] of this.#inOrder()) {
      const isWanted = this.#isEnabled(source) && !(source === builtIn && isReplaced);
      if (isWanted && this.#running === undefined) await this.#startWithBroker(name, source.isChecked);
    }
  }

  /** What nobody has started or stopped: the plugin that the broker brings is enabled, a package is not. */
  #isEnabled(source: PluginSource): boolean {
    return this.#states.get(nameOf(source))?.enable ?? source === this.#parts.builtIn;
  }

  async #startWithBroker(name: string, isChecked?: boolean): Promise<void> {
    try {
      await this.#start(name, isChecked);
    } catch (error) {
      this.#problems.set(name, causeOf(error));
      this.#parts.logger.error({ err: error, plugin: name }, "a plugin could not be started");
    }
  }

  /** Stops what runs; it is enabled still. */
  async stop(): Promise<void> {
    await this.#last;
    await this.#stopRunning();
  }

  /** The engine that runs, with the file of its configuration. */
  get running(): { readonly engine: Engine; readonly configPath: string } | undefined {
    if (this.#running === undefined) return undefined;
    const { engine, nameAndVersion } = this.#running;
    return { engine, configPath: configPath(this.#parts.folder, this.#source(nameAndVersion)) };
  }

  /** In the order of starting. */
  list(): InstalledPlugin[] {
    return this.#inOrder().map(([name]) => this.get(name));
  }

  /** Throws `ApiError` 404. */
  get(nameAndVersion: string): InstalledPlugin {
    const source = this.#source(nameAndVersion);
    const engine = this.#running?.nameAndVersion === nameAndVersion ? this.#running.engine : undefined;
    return { source, engine, problem: this.#problems.get(nameAndVersion) };
  }

  /**
   * The plugin of a package that may be installed: its file name is right, and unless it is `trusted` it was allowed. Throws
   * `ApiError`: 400 for a name that is none or is installed already, 403 for one that is not allowed.
   */
  checkInstall(fileName: string, isTrusted: boolean): string {
    const name = pluginOfArchive(fileName);
    if (this.#sources.has(name)) throw new ApiError(400, "ALREADY_INSTALLED", `${name} is already installed`);
    if (isTrusted || this.#parts.allowed.has(name)) return name;
    throw new ApiError(
      403,
      "FORBIDDEN",
      `Package is not allowed installation; first allow it to be installed by running: \`omp plugins allow ${name}\``,
    );
  }

  /** Installs a package, and does not start it. Rejects with `ApiError` as `checkInstall` throws it, and with 400 for a package that is wrong. */
  install(fileName: string, archive: Uint8Array, isTrusted: boolean): Promise<void> {
    return this.#change(async () => {
      const name = this.checkInstall(fileName, isTrusted);
      const { allowed, folder, logger } = this.#parts;
      const content = await readPackage(archive, name);
      // Noted first: one that is there and not noted would be another's.
      await this.#saving(() => this.#states.set(name, false));
      await this.#saving(() => writePackage(folder, content, createHash("md5").update(archive).digest("hex")));
      const source = await packageSource(join(folder, name), name);
      if (typeof source === "string") throw new ApiError(500, "INTERNAL_ERROR", `${name} ${source}.`);
      this.#sources.set(name, source);
      allowed.disallow(name);
      logger.info({ plugin: name, md5sum: source.md5sum }, "a plugin was installed");
    });
  }

  /** Starts it, now and with the broker. Rejects with `ApiError`: 404, 400 for a configuration that is wrong, 500. */
  startPlugin(nameAndVersion: string): Promise<void> {
    return this.#change(async () => {
      const source = this.#source(nameAndVersion);
      const running = this.#running?.nameAndVersion;
      if (running !== undefined && running !== nameAndVersion) {
        throw new ApiError(400, "PARAM_ERROR", `${running} runs, and one plugin can: stop it first.`);
      }
      const before = this.#isEnabled(source);
      await this.#saving(() => this.#states.set(nameAndVersion, true));
      if (running === nameAndVersion) return;
      try {
        await this.#start(nameAndVersion);
      } catch (error) {
        await this.#saving(() => this.#states.set(nameAndVersion, before));
        throw error;
      }
      this.#parts.logger.info({ plugin: nameAndVersion }, "a plugin was started");
    });
  }

  /** Stops it, until it is started again. Rejects with `ApiError`: 404. */
  stopPlugin(nameAndVersion: string): Promise<void> {
    return this.#change(async () => {
      this.#source(nameAndVersion);
      await this.#saving(() => this.#states.set(nameAndVersion, false));
      this.#problems.delete(nameAndVersion);
      if (this.#running?.nameAndVersion !== nameAndVersion) return;
      await this.#stopRunning();
      this.#parts.logger.info({ plugin: nameAndVersion }, "a plugin was stopped");
    });
  }

  /** Removes its package; configuration and store stay. Rejects with `ApiError`: 404, 400 while it runs. */
  uninstall(nameAndVersion: string): Promise<void> {
    return this.#change(async () => {
      const source = this.#source(nameAndVersion);
      const { builtIn, folder, logger } = this.#parts;
      if (this.#running?.nameAndVersion === nameAndVersion) {
        throw new ApiError(400, "PARAM_ERROR", `${nameAndVersion} is running: stop it first.`);
      }
      // The next broker brings it again, and does not start it.
      if (source === builtIn) await this.#saving(() => this.#states.set(nameAndVersion, false));
      else {
        await this.#saving(() => removePackage(folder, nameAndVersion));
        await this.#saving(() => this.#states.delete(nameAndVersion));
      }
      this.#sources.delete(nameAndVersion);
      this.#problems.delete(nameAndVersion);
      logger.info({ plugin: nameAndVersion }, "a plugin was uninstalled");
    });
  }

  /** `front`, `rear`, `before:{name}` or `after:{name}`. Rejects with `ApiError`: 404, 400 for another position. */
  move(nameAndVersion: string, position: unknown): Promise<void> {
    return this.#change(async () => {
      this.#source(nameAndVersion);
      const others = this.#inOrder().flatMap(([name]) => (name === nameAndVersion ? [] : [name]));
      const place = placeOf(position, others);
      await this.#saving(() => {
        for (const [name, source] of this.#inOrder()) this.#states.set(name, this.#isEnabled(source));
        this.#states.move(nameAndVersion, place);
      });
    });
  }

  /** The plugin's configuration with every key, and a mask in the place of secrets. Rejects with `ApiError`: 404, 400 for a file that is wrong. */
  async config(nameAndVersion: string): Promise<Readonly<Record<string, unknown>>> {
    const source = this.#source(nameAndVersion);
    const module = await loadEngine(source);
    const { folder, logger } = this.#parts;
    return maskSecrets(completeConfig(module, await readConfig(source, configPath(folder, source), logger)));
  }

  /**
   * Sets the whole configuration, writes it to its file, and lets a plugin that runs go on with it: no publish goes through unstored
   * meanwhile. Rejects with `ApiError`: 404; 400 for what is wrong, and for a database that cannot be used; then nothing is changed.
   */
  configure(nameAndVersion: string, given: unknown): Promise<void> {
    return this.#change(async () => {
      const { folder, logger } = this.#parts;
      const source = this.#source(nameAndVersion);
      const module = await loadEngine(source);
      const path = configPath(folder, source);
      const config = await newConfig(module, given, path, () => readConfig(source, path, logger));
      const text = configText(config);
      const running = this.#running?.nameAndVersion === nameAndVersion ? this.#running : undefined;
      if (running !== undefined) {
        const problem = await module.checkBackend(config, path);
        if (problem !== undefined) throw badConfig(`${problem} Nothing was changed.`);
      }
      await this.#saving(() => writeConfig(path, text));
      logger.info({ plugin: nameAndVersion }, "a plugin was configured");
      if (running !== undefined) await this.#changeOver(running, module, config, path);
    });
  }

  /** Rejects with `ApiError` for what `configure` would refuse, and for a database that cannot be used also where the plugin is stopped. */
  async checkNewConfig(nameAndVersion: string, given: unknown): Promise<void> {
    const { folder, logger } = this.#parts;
    const source = this.#source(nameAndVersion);
    const module = await loadEngine(source);
    const path = configPath(folder, source);
    const config = await newConfig(module, given, path, () => readConfig(source, path, logger));
    const problem = await module.checkBackend(config, path);
    if (problem !== undefined) throw badConfig(problem);
  }

  /** The next engine takes over from the one that runs; publishes wait meanwhile. */
  async #changeOver(
    { nameAndVersion, engine: last }: Running,
    module: EngineModule,
    config: unknown,
    configPath: string,
  ) {
    const { broker, logger, changed } = this.#parts;
    const held = new HeldPublishes();
    broker.attachHooks(held);
    let engine: Engine | undefined;
    try {
      engine = await this.#working(nameAndVersion, async () => {
        await last.stop();
        const next = await module.createEngine({ host: broker.host, config, configPath, logger });
        await next.start();
        return next;
      });
    } finally {
      this.#running = engine && { nameAndVersion, engine };
      held.tellEvents(engine?.hooks);
      if (engine?.hooks === undefined) broker.detachHooks();
      else broker.attachHooks(engine.hooks);
      held.handOver(engine?.hooks);
      changed(engine);
    }
  }

  #inOrder(): [name: string, source: PluginSource][] {
    const names = this.#states.names;
    const place = (name: string) => (names.includes(name) ? names.indexOf(name) : names.length);
    return [...this.#sources].sort(([a], [b]) => place(a) - place(b));
  }

  #source(nameAndVersion: string): PluginSource {
    const source = this.#sources.get(nameAndVersion);
    if (source === undefined) throw new ApiError(404, "NOT_FOUND", `${nameAndVersion} is not installed`);
    return source;
  }

  async #start(nameAndVersion: string, isChecked = false): Promise<void> {
    const source = this.#source(nameAndVersion);
    const { broker, folder, logger, changed } = this.#parts;
    const module = await loadEngine(source);
    const path = configPath(folder, source);
    const config = await readConfig(source, path, logger);
    const engine = await this.#working(nameAndVersion, async () => {
      const problems = isChecked ? [] : await module.checkConfig(config, path);
      if (problems.length > 0) throw badConfig(`${path}: ${told(problems)}`);
      const created = await module.createEngine({ host: broker.host, config, configPath: path, logger });
      await created.start();
      return created;
    });
    if (engine.hooks !== undefined) broker.attachHooks(engine.hooks);
    this.#running = { nameAndVersion, engine };
    this.#problems.delete(nameAndVersion);
    changed(engine);
  }

  async #stopRunning(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    this.#parts.broker.detachHooks();
    this.#parts.changed(undefined);
    await running.engine.stop();
  }

  /** What a module throws is its own mistake. Rejects with `ApiError`. */
  async #working<T>(nameAndVersion: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ApiError) throw error;
      const message = `${nameAndVersion} cannot be started: ${causeOf(error)}`;
      throw new ApiError(500, "INTERNAL_ERROR", message, { cause: error });
    }
  }

  /** Runs changes one after the other. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) {
      return Promise.reject(
        new ApiError(503, "SERVICE_UNAVAILABLE", `${MAX_WAITING} changes of plugins wait already: try again later.`),
      );
    }
    this.#waiting++;
    const done = this.#last.then(work);
    this.#last = done.catch(() => {}).finally(() => this.#waiting--);
    return done;
  }

  async #saving(work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const message = `The disk does not take it: ${(error as Error).message}`;
      throw new ApiError(500, "INTERNAL_ERROR", message, { cause: error });
    }
  }
}
