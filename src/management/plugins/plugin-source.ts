// Where a plugin comes from: a package that was installed, or the sources that the broker brings.

import type { EngineModule } from "../../plugin/engine-module.ts";
import type { ReleaseJson } from "./release-json.ts";

export interface PluginSource {
  readonly info: ReleaseJson;
  /** Of its package; empty: it has none. */
  readonly md5sum: string;
  /** Empty: it has none. */
  readme(): Promise<string>;
  /** The Avro schema of its configuration, and the texts to it; null: it has none. */
  schema(): Promise<{ readonly avsc: unknown; readonly i18n: unknown }>;
  /** Its configuration was found to be right just before the broker starts: the database server is not asked twice. */
  readonly isChecked?: boolean;
  /** The text of the configuration (HOCON) to begin with. */
  shippedConfig(): Promise<string>;
  /** Rejects where the module cannot be loaded. */
  load(): Promise<EngineModule>;
}

/** `<name>-<version>` */
export function nameOf({ info }: PluginSource): string {
  return `${info.name}-${info.rel_vsn}`;
}
