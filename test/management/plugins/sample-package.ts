// Small packages for tests: right ones, and tar files with whatever a test puts into them.

import { gzipSync } from "node:zlib";
import { Header, type HeaderData } from "tar";

export const NAME = "sample_plugin-1.0.0";
export const MAIN = "sample_plugin-1.0.0";

/** An engine that stores nothing, and refuses a configuration that has a key `wrong`. */
export const SAMPLE_ENGINE = `
export const contract = 3;
export const checkConfig = async (config) =>
  config.wrong === undefined ? [] : [{ path: ["wrong"], message: "wrong is no known key" }];
export const completeConfig = (config) => ({ size: 0, ...config });
export const checkBackend = async (config) => (config.away ? "The database is away." : undefined);
export const createEngine = async ({ logger, config }) => ({
  storeHealth: () => ({ status: "ok" }),
  start: async () => logger.info({ size: config.size }, "the sample starts"),
  stop: async () => logger.info({}, "the sample stops"),
});
`;

export function releaseJson(changes: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    name: "sample_plugin",
    rel_vsn: "1.0.0",
    description: "A sample.",
    rel_apps: [MAIN],
    hidden: false,
    ...changes,
  });
}

/** The files of a package that is right, by their paths. */
export function sampleFiles(): Record<string, string> {
  return {
    [`${NAME}/release.json`]: releaseJson(),
    [`${NAME}/README.md`]: "A sample.\n",
    [`${NAME}/${MAIN}/engine.mjs`]: SAMPLE_ENGINE,
    [`${NAME}/${MAIN}/priv/config.hocon`]: "size = 1\n",
    [`${NAME}/${MAIN}/priv/config_schema.avsc`]: '{"type":"record","name":"Sample","fields":[]}',
  };
}

export interface SampleEntry extends Partial<Omit<HeaderData, "path" | "size">> {
  readonly path: string;
  readonly content?: string | Uint8Array;
}

/** A tar file of these entries, as they are. */
export function tarOf(entries: readonly SampleEntry[]): Buffer {
  const blocks = entries.flatMap(({ content = "", ...header }) => {
    const data = Buffer.from(content as string);
    const block = Buffer.alloc(512);
    new Header({ type: "File", mode: 0o644, mtime: new Date(0), ...header, size: data.length }).encode(block);
    return [block, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** The package of these files; `more` are put behind them. */
export function packageOf(
  files: Readonly<Record<string, string | Uint8Array>>,
  more: readonly SampleEntry[] = [],
): Buffer {
  const entries = Object.entries(files).map(([path, content]) => ({ path, content }));
  return gzipSync(tarOf([...entries, ...more]));
}
