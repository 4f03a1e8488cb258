// The plugin that `omp broker` brings: the same as in the release package, loaded from its sources.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { releaseInfo } from "../engine/release-info.ts";
import type { PluginSource } from "../management/plugins/plugin-source.ts";
import { version } from "../mqtt/version.ts";

const PLUGIN = new URL("../plugin/", import.meta.url);
const SOURCES = { ref: "sources", date: "" };

/** The configuration that ships with it. */
export const SHIPPED_PLUGIN_CONFIG = fileURLToPath(new URL("priv/config.hocon", PLUGIN));

/** `config`: the text of the configuration to begin with. */
export function builtInPlugin(config: string): PluginSource {
  const [node = ""] = process.versions.node.split(".");
  const read = (file: string): Promise<string> => readFile(new URL(file, PLUGIN), "utf8");
  return {
    info: { ...releaseInfo(version(), node, SOURCES) },
    md5sum: "",
    readme: () => read("README.md"),
    schema: async () => ({
      avsc: JSON.parse(await read("priv/config_schema.avsc")),
      i18n: JSON.parse(await read("priv/config_i18n.json")),
    }),
    shippedConfig: async () => config,
    load: () => import("../engine/engine.ts"),
  };
}
