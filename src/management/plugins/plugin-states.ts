// Which plugins are enabled, and in which order they start: kept in a file, so that it outlives the broker.

import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { isNoSuchFile } from "../../files/no-such-file.ts";
import { makePrivateDirectory, removeUnfinished, writePrivateFile } from "../../files/private-files.ts";

/** By EMQX's names, as in its `plugins.states`. */
export interface PluginState {
  readonly name_vsn: string;
  readonly enable: boolean;
}

export class PluginStates {
  readonly #file: string;
  #states: readonly PluginState[];

  /** `problem` is told when the file cannot be used; then no plugin was noted yet. */
  constructor(file: string, problem: (message: string) => void) {
    this.#file = file;
    removeUnfinished(file);
    this.#states = readStates(file, problem);
  }

  get(nameAndVersion: string): PluginState | undefined {
    return this.#states.find(({ name_vsn }) => name_vsn === nameAndVersion);
  }

  /** Names in the order of starting. */
  get names(): readonly string[] {
    return this.#states.map(({ name_vsn }) => name_vsn);
  }

  /** Notes whether the plugin is enabled; one that is new comes last. Throws the system's error. */
  set(nameAndVersion: string, enable: boolean): void {
    const state = { name_vsn: nameAndVersion, enable };
    const at = this.#states.findIndex(({ name_vsn }) => name_vsn === nameAndVersion);
    if (at >= 0 && this.#states[at]?.enable === enable) return;
    this.#write(at < 0 ? [...this.#states, state] : this.#states.with(at, state));
  }

  /** Throws the system's error. */
  delete(nameAndVersion: string): void {
    this.#write(this.#states.filter(({ name_vsn }) => name_vsn !== nameAndVersion));
  }

  /** Puts a plugin that is noted before the one at that place of the others. Throws the system's error. */
  move(nameAndVersion: string, place: number): void {
    const state = this.get(nameAndVersion);
    const others = this.#states.filter((other) => other !== state);
    if (state !== undefined) this.#write(others.toSpliced(place, 0, state));
  }

  #write(states: readonly PluginState[]): void {
    makePrivateDirectory(dirname(this.#file));
    writePrivateFile(this.#file, `${JSON.stringify({ states }, null, 2)}\n`);
    this.#states = states;
  }
}

function readStates(file: string, problem: (message: string) => void): readonly PluginState[] {
  try {
    const content: { readonly states?: unknown } | null = JSON.parse(readFileSync(file, "utf8"));
    const states: readonly (Partial<PluginState> | null)[] = Array.isArray(content?.states) ? content.states : [null];
    if (!states.every(isState)) throw new Error("it does not name plugins");
    return states;
  } catch (error) {
    if (!isNoSuchFile(error)) {
      problem(
        `${file} cannot be read, so that packages count as stopped (${(error as Error).message}): start them again`,
      );
    }
    return [];
  }
}

function isState(state: Partial<PluginState> | null): state is PluginState {
  return typeof state?.name_vsn === "string" && typeof state.enable === "boolean";
}
