// Publishers on a MySQL store while something happens to the server, and what has to be true afterwards.

import assert from "node:assert/strict";
import type { MySqlStoreOptions } from "../../src/store/mysql/options.ts";
import type { Store } from "../../src/store/store.ts";
import type { MariadbSetup } from "../support/mariadb.ts";
import type { MariadbClient } from "../support/mariadb-client.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import type { Scope } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { startStore } from "./mysql-stores.ts";
import { assertTold, Publishing } from "./publishing.ts";
import { readAll } from "./sample-messages.ts";

/** How long a call may take, in ms. */
export const TIMEOUT = 500;
/** More than a busy machine needs for anything here, in ms: only what hangs takes longer. */
export const HANGS = 10_000;
export const TOPICS = ["a", "b/c", "b/d", "e", "f"];

export interface Proxied extends MariadbSetup {
  readonly proxy: TcpProxy;
}

/** The same server, reached through a proxy. */
export async function behindProxy(scope: Scope, setup: MariadbSetup): Promise<Proxied> {
  const { host, port } = setup.place;
  const proxy = await TcpProxy.start(scope, { host, port });
  return { ...setup, place: { ...setup.place, port: proxy.port }, proxy };
}

/** A store and publishers on it. */
export async function startPublishing(scope: Scope, setup: MariadbSetup, options: Partial<MySqlStoreOptions> = {}) {
  const started = await startStore(scope, setup.place, { timeout: TIMEOUT, ...options });
  const publishing = new Publishing(scope, started.store, TOPICS);
  await publishing.goesOn(20);
  return { ...started, publishing, setup };
}

type Started = Awaited<ReturnType<typeof startPublishing>>;

/** All goes on, what was acknowledged is there in order, each once, and the health told of the fault once. */
export async function assertRecovered(started: Started, breaks: number | "any" = 1): Promise<void> {
  const { store, healths, publishing, setup } = started;
  await publishing.goesOn(20);
  await publishing.end();
  publishing.assertInTime(TIMEOUT);
  await assertNothingLost(started);
  await assertStoredOnce(setup);
  await assertTold(store, healths, breaks === "any" ? undefined : breaks);
}

export async function assertNothingLost({
  store,
  publishing,
}: {
  readonly store: Store;
  readonly publishing: Publishing;
}): Promise<void> {
  for (const topic of TOPICS) {
    const stored = (await readAll(store, topic)).map(({ message }) => message.id);
    assert.deepEqual(stored, [...new Set(stored)].sort(), "in order, each once");
    const ids = new Set(stored);
    const lost = publishing.acknowledged.filter((message) => message.topic === topic && !ids.has(message.id));
    assert.deepEqual(lost, [], "nothing that was acknowledged is lost");
  }
}

/** No message has two rows. */
export async function assertStoredOnce(setup: MariadbSetup): Promise<void> {
  const twice = "SELECT msgid, COUNT(*) AS copies FROM mqtt_msg GROUP BY msgid HAVING copies > 1";
  assert.deepEqual(await setup.with((client) => client.query(twice)), [], "nothing is stored twice");
}

/** What the sessions of the store do; `Sleep` is nothing. */
export async function sessions(client: MariadbClient, { place }: MariadbSetup) {
  return client.query(
    "SELECT ID AS id, COMMAND AS command, STATE AS state FROM information_schema.PROCESSLIST WHERE USER = ?",
    [place.username],
  );
}

/** Waits until a statement of the store waits at the server, and gives the id of its session. */
export async function blockedSession(client: MariadbClient, setup: MariadbSetup): Promise<number> {
  return waitFor(
    async () => {
      const busy = (await sessions(client, setup)).filter(({ command }) => command === "Execute");
      return Number(busy[0]?.id ?? 0);
    },
    { what: "a statement that waits" },
  );
}

/** Ends the sessions of the store, as an administrator does. */
export async function endSessions(client: MariadbClient, setup: MariadbSetup): Promise<void> {
  // One may have ended by itself meanwhile.
  for (const { id } of await sessions(client, setup)) await client.query(`KILL ${id}`).catch(() => {});
}
