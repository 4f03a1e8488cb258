// `omp keys`: the API keys of a broker that runs.

import { askBroker, askJson } from "./control-client.ts";
import { type ControlCommands, runControlCommand } from "./control-commands.ts";
import type { DataPaths } from "./data-directory.ts";
import type { GivenOptions } from "./options.ts";
import { table } from "./text-table.ts";

const OPTIONS = {
  role: { value: "ROLE", help: "administrator (default), viewer: reads, publisher: publishes" },
  expires: { value: "TIME", help: "until when it is good, such as 2027-01-31T12:00:00Z (default: for ever)" },
  description: { value: "TEXT", help: "what it is for" },
} as const;

const ABOUT = `omp keys: the API keys of the broker that runs on a data directory

Usage: omp keys COMMAND [NAME] [OPTION ...]

  list             all keys that were created here, without their secrets
  create NAME      create a key, and show its secret this once
  enable NAME      let it be used again
  disable NAME     refuse it until it is enabled
  delete NAME      delete it

Those of a bootstrap file (--api-keys) are not among them.
`;

const PATH = "/api/v5/api_key";

interface ApiKey {
  readonly name: string;
  readonly api_key: string;
  readonly api_secret: string;
  readonly role: string;
  readonly enable: boolean;
  readonly expired: boolean;
  readonly expired_at: string;
  readonly desc: string;
}

const at = (name: string): string => `${PATH}/${encodeURIComponent(name)}`;
const enabling = (enable: boolean) => async (paths: DataPaths, name: string) => {
  await askJson(paths, { method: "PUT", path: at(name), json: { enable } });
  return `${name}: ${enable ? "enabled" : "disabled"}\n`;
};

const commands: ControlCommands<typeof OPTIONS>["commands"] = {
  list: { run: list },
  create: { argument: "NAME", run: create },
  enable: { argument: "NAME", run: enabling(true) },
  disable: { argument: "NAME", run: enabling(false) },
  delete: {
    argument: "NAME",
    run: async (paths, name) => {
      await askBroker(paths, { method: "DELETE", path: at(name) });
      return `${name}: deleted\n`;
    },
  },
};

/** Rejects with `CliError`. */
export function keysCommand(args: readonly string[]): Promise<void> {
  return runControlCommand({ name: "omp keys", about: ABOUT, options: OPTIONS, commands }, args);
}

async function create(
  paths: DataPaths,
  name: string,
  { role, expires, description }: GivenOptions<typeof OPTIONS>,
): Promise<string> {
  const json = { name, role, expired_at: expires, desc: description };
  const key = (await askJson(paths, { method: "POST", path: PATH, json })) as ApiKey;
  return `${key.api_key}:${key.api_secret}\n`;
}

async function list(paths: DataPaths): Promise<string> {
  const keys = (await askBroker(paths, { method: "GET", path: PATH })) as readonly ApiKey[];
  if (keys.length === 0) return "there is no API key: omp keys create NAME makes one\n";
  return table(
    keys.map(({ name, api_key, role, enable, expired, expired_at, desc }) => {
      const expiry = expired_at === "infinity" ? "" : `until ${expired_at}`;
      return [name, api_key, role, expired ? "expired" : enable ? "enabled" : "disabled", expiry, desc];
    }),
  );
}
