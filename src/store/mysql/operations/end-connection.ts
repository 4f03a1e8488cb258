// Makes sure that a connection which broke does nothing more, so that what its last statement has done can be looked at.
//
// A server that hung may still carry out what it was sent before. The user may end connections of its own without further rights.

import { setTimeout as wait } from "node:timers/promises";
import type { ConnectionIdentity } from "../connection.ts";
import type { Execute } from "../context.ts";

/** Between two looks, in ms. */
const INTERVAL = 20;

/** Settles when the server knows the connection no more. Rejects with the error of MySQL, or when that takes too long (ms). */
export async function endConnection(
  execute: Execute,
  { id, host }: ConnectionIdentity,
  timeout: number,
): Promise<void> {
  const isThere = async (): Promise<boolean> => {
    const sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID = ? AND HOST = ?";
    return (await execute(sql, [id, host])).rows.length > 0;
  };
  const deadline = performance.now() + timeout;
  while (await isThere()) {
    if (performance.now() >= deadline) throw new Error("an earlier statement has not ended yet");
    // It may have ended meanwhile.
    await execute(`KILL ${id}`).catch(() => {});
    await wait(INTERVAL);
  }
}
