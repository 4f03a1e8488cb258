// A plugin's module, and its configuration: where it lies, how it is read, and what may replace it.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isNoSuchFile } from "../../files/no-such-file.ts";
import { makePrivateDirectory, writePrivateFile } from "../../files/private-files.ts";
import { MAX_CONFIG_BYTES, parseHocon } from "../../hocon/parse.ts";
import { writeHocon } from "../../hocon/write.ts";
import type { Logger } from "../../mqtt/logger.ts";
import type { ConfigProblem } from "../../plugin/config-schema.ts";
import { ENGINE_CONTRACT, type EngineModule } from "../../plugin/engine-module.ts";
import { ApiError } from "../api-error.ts";
import { nameOf, type PluginSource } from "./plugin-source.ts";
import { unmaskSecrets } from "./secrets.ts";

export type Values = Readonly<Record<string, unknown>>;

const FUNCTIONS = ["checkConfig", "completeConfig", "checkBackend", "createEngine"] as const;

/** Rejects with `ApiError`: 500 where it cannot be loaded, 400 where it is of another release. */
export async function loadEngine(source: PluginSource): Promise<EngineModule> {
  const name = nameOf(source);
  const module = await source.load().catch((error: unknown) => {
    const message = `${name} cannot be loaded: ${causeOf(error)}`;
    throw new ApiError(500, "INTERNAL_ERROR", message, { cause: error });
  });
  const refuse = (message: string) => new ApiError(400, "BAD_PLUGIN_INFO", `${name} ${message}`);
  if (module.contract !== ENGINE_CONTRACT) {
    const contract = module.contract === undefined ? "none" : String(module.contract);
    throw refuse(
      `is built for another release of this broker (contract ${contract}, not ${ENGINE_CONTRACT}): install the one of this release.`,
    );
  }
  const missing = FUNCTIONS.find((key) => typeof module[key] !== "function");
  if (missing !== undefined) throw refuse(`has no ${missing} in its engine module: it cannot be run.`);
  return module;
}

/** Beside the store's file, for all versions of a plugin. */
export function configPath(folder: string, { info }: PluginSource): string {
  return join(folder, info.name, "config.hocon");
}

/** What the file says; the shipped text where there is none yet, which is put there. Rejects with `ApiError` 400. */
export async function readConfig(source: PluginSource, path: string, logger: Logger): Promise<Values> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (!isNoSuchFile(error)) throw badConfig(`${path} cannot be read: ${(error as Error).message}`);
    text = await source.shippedConfig();
    try {
      writeConfig(path, text);
    } catch (cause) {
      const problem = `cannot write ${path} (${(cause as Error).message})`;
      logger.warn({}, `${problem}: the plugin runs with the configuration that it came with this time`);
    }
  }
  try {
    return parseHocon(text).value;
  } catch (error) {
    throw badConfig(`${path}: ${(error as Error).message}`);
  }
}

/** What its file will say. Throws `ApiError` 400 for more than a broker would read at its next start. */
export function configText(config: Values): string {
  const text = writeHocon(config);
  if (Buffer.byteLength(text) <= MAX_CONFIG_BYTES) return text;
  throw badConfig(
    `The configuration has more than ${MAX_CONFIG_BYTES} bytes: leave something out. Nothing was changed.`,
  );
}

/** Throws the system's error. */
export function writeConfig(path: string, text: string): void {
  makePrivateDirectory(dirname(path));
  writePrivateFile(path, text);
}

/** With every key. Throws `ApiError` 400 for one that is wrong. */
export function completeConfig(module: EngineModule, config: Values): Values {
  try {
    return module.completeConfig(config);
  } catch (error) {
    throw badConfig((error as Error).message);
  }
}

/**
 * What a plugin is given to replace its configuration, with what `current` has in the place of masked secrets. Rejects with `ApiError`
 * 400, whose message names everything that is wrong.
 */
export async function newConfig(
  module: EngineModule,
  given: unknown,
  path: string,
  current: () => Promise<Values>,
): Promise<Values> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw badConfig("The configuration is no object.");
  }
  // One that is wrong can be replaced all the same.
  const before = await current().catch(() => ({}));
  const config = unmaskSecrets(given as Values, before);
  const problems = await module.checkConfig(config, path, true);
  if (problems.length > 0) throw badConfig(told(problems), problems);
  return config;
}

/** Whatever a module throws. */
export function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function told(problems: readonly ConfigProblem[]): string {
  return problems.map(({ message }) => message).join("; ");
}

export function badConfig(message: string, problems?: readonly ConfigProblem[]): ApiError {
  return new ApiError(400, "BAD_CONFIG", message, { problems });
}
