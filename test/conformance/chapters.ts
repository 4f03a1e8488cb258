// All cases of the conformance suite, by chapter.

import type { ConformanceCase } from "./conformance-case.ts";

const NAMES = [
  "data",
  "connect",
  "publish",
  "acks",
  "subscribe",
  "unsubscribe",
  "ping",
  "disconnect",
  "auth",
  "sessions",
  "topics",
  "shared-subscriptions",
  "flow-control",
  "errors",
  "reasons",
  "retained",
  "wills",
  "websocket",
];

/** Names of files in `cases/`, in the order of the standards, with what they hold. */
export const chapters: ReadonlyMap<string, readonly ConformanceCase[]> = new Map(
  await Promise.all(
    NAMES.map(async (name) => {
      const { cases } = (await import(`./cases/${name}.ts`)) as { cases: readonly ConformanceCase[] };
      return [name, cases] as const;
    }),
  ),
);
