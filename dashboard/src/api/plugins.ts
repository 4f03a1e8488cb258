// The plugins of the broker: listed, installed, started, configured.

import { ask } from "./request.ts";

export interface Health {
  readonly status: "ok" | "error";
  readonly message: string;
}

export interface Plugin {
  readonly name: string;
  readonly rel_vsn: string;
  readonly description: string;
  readonly authors?: string | readonly string[];
  readonly running_status: readonly { readonly node: string; readonly status: "running" | "stopped" }[];
  readonly health_status?: Health;
  readonly md5sum: string;
  readonly readme?: string;
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Config = { readonly [key: string]: Json };

export type Texts = Readonly<Record<string, { readonly en: string; readonly zh: string }>>;

/** `$ui` of EMQX's plugins: how a field is drawn. */
export interface UiHints {
  readonly component?: string;
  readonly label?: string;
  readonly description?: string;
  /** Of 24 columns. */
  readonly flex?: number;
  readonly required?: boolean;
  readonly importance?: "low" | "high";
  readonly options?: readonly { readonly label: string; readonly value: string | number }[];
  readonly rules?: readonly Readonly<Record<string, unknown>>[];
}

export interface AvroField {
  readonly name: string;
  readonly type: AvroType;
  readonly default?: Json;
  readonly $ui?: UiHints;
}

export type AvroType =
  | string
  | readonly AvroType[]
  | {
      readonly type: string;
      readonly fields?: readonly AvroField[];
      readonly symbols?: readonly string[];
      readonly items?: AvroType;
    };

export interface AvroRecord {
  readonly type: "record";
  readonly fields: readonly AvroField[];
}

export interface PluginSchema {
  readonly avsc: AvroRecord | null;
  readonly i18n: Texts | null;
}

const path = (nameAndVersion: string, rest = ""): string => `/plugins/${encodeURIComponent(nameAndVersion)}${rest}`;

export function nameOf({ name, rel_vsn }: Plugin): string {
  return `${name}-${rel_vsn}`;
}

export function isRunning(plugin: Plugin): boolean {
  return plugin.running_status.some(({ status }) => status === "running");
}

export const listPlugins = (): Promise<Plugin[]> => ask({ path: "/plugins" });
export const getPlugin = (name: string): Promise<Plugin> => ask({ path: path(name) });
export const getSchema = (name: string): Promise<PluginSchema> => ask({ path: path(name, "/schema") });
export const getConfig = (name: string): Promise<Config> => ask({ path: path(name, "/config") });
export const putConfig = (name: string, json: Config): Promise<void> =>
  ask({ method: "PUT", path: path(name, "/config"), json });
/** Rejects with `ApiError` for what `putConfig` would refuse. */
export const checkConfig = (name: string, json: Config): Promise<void> =>
  ask({ method: "POST", path: path(name, "/config/check"), json });
export const act = (name: string, action: "start" | "stop"): Promise<void> =>
  ask({ method: "PUT", path: path(name, `/${action}`) });
export const uninstall = (name: string): Promise<void> => ask({ method: "DELETE", path: path(name) });
