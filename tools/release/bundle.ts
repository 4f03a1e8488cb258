// Makes readable modules of the plugin's sources and of the packages that they use: the engine module, and what EMQX starts.

import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type OutputChunk, type Plugin, rolldown } from "rolldown";
import { version } from "../../src/mqtt/version.ts";

const here = dirname(fileURLToPath(import.meta.url));
export const ROOT = resolve(here, "../..");
const WORKER_FILE = join(ROOT, "src/store/sqlite/worker-file.ts");
const BUNDLED_WORKER_FILE = join(here, "bundled-worker-file.ts");
const VERSION_FILE = join(ROOT, "src/mqtt/version.ts");

/** Beside the engine module, for EMQX. */
export const EMQX_ENGINE_FILE = "emqx-engine.mjs";
/** What Node 20 does not have: a file that imports it cannot say that the Node is too old. */
const NEWER_THAN_NODE_20 = ["node:sqlite"];

export interface Bundle {
  readonly code: string;
  /** Files of the project that are in it, seen from its root, in order. */
  readonly sources: readonly string[];
  /** Names of the packages that are in it, in order. */
  readonly packages: readonly string[];
}

/** Bundles the engine module. Rejects where something cannot be resolved, or would be left to the machine that runs it. */
export function bundleEngine(): Promise<Bundle> {
  return bundle("bundle-entry.ts");
}

/**
 * Bundles what EMQX starts, which loads the engine module that lies beside it. Rejects as `bundleEngine` does, and where an older Node
 * could not even begin to run it.
 */
export function bundleEmqxEngine(): Promise<Bundle> {
  return bundle("emqx-engine-entry.ts", NEWER_THAN_NODE_20);
}

async function bundle(entry: string, unwanted: readonly string[] = []): Promise<Bundle> {
  const warnings: string[] = [];
  const build = await rolldown({
    input: join(here, entry),
    cwd: ROOT,
    platform: "node",
    plugins: [sameModuleForWorkers, versionAsItIs],
    onLog: (_level, { code, message }) => warnings.push(`${code}: ${message}`),
  });
  try {
    const { output } = await build.generate({ format: "es", codeSplitting: false, comments: true });
    const [chunk, ...others] = output as [OutputChunk, ...unknown[]];
    const foreign = [...chunk.imports, ...chunk.dynamicImports].filter((name) => !name.startsWith("node:"));
    if (others.length > 0) throw new Error(`the bundle has ${others.length} files beside its module`);
    if (foreign.length > 0)
      throw new Error(`the bundle leaves these to the machine that runs it: ${foreign.join(", ")}`);
    const tooNew = chunk.imports.filter((name) => unwanted.includes(name));
    if (tooNew.length > 0)
      throw new Error(`the bundle imports before it looks at Node's version: ${tooNew.join(", ")}`);
    if (warnings.length > 0) throw new Error(`the bundle has warnings:\n${warnings.join("\n")}`);
    const files = chunk.moduleIds.map((id) => relative(ROOT, id)).filter((file) => !file.startsWith("\0"));
    return {
      code: chunk.code,
      sources: files.filter((file) => file.startsWith("src/")).sort(),
      packages: [...new Set(files.flatMap((file) => packageOf(file) ?? []))].sort(),
    };
  } finally {
    await build.close();
  }
}

const sameModuleForWorkers: Plugin = {
  name: "same-module-for-workers",
  async resolveId(source, importer, options) {
    const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
    return resolved?.id === WORKER_FILE && importer !== BUNDLED_WORKER_FILE ? BUNDLED_WORKER_FILE : resolved;
  },
};

/** A package has no package.json to look the version up in. */
const versionAsItIs: Plugin = {
  name: "version-as-it-is",
  load: (id) => (id === VERSION_FILE ? `export const version = () => ${JSON.stringify(version())};` : undefined),
};

/** The package that a file belongs to; undefined: none. */
function packageOf(file: string): string | undefined {
  return /^node_modules\/(?:.*\/node_modules\/)?((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}
