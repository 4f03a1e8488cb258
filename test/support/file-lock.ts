// A lock between processes, held by flock(1): the kernel frees it when its holder dies.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/** How long another process may hold the lock, in seconds. */
const LOCK_WAIT = 600;

/** Runs `work` while no other process holds the lock of this file. */
export async function withFileLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  // The helper says when it has the lock, and ends with its input: also when this process is killed.
  const holder = spawn("flock", ["-w", String(LOCK_WAIT), file, "sh", "-c", "echo locked; exec cat >/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(holder, "close");
  const locked = once(holder.stdout, "data").then(() => true);
  const got = await Promise.race([locked, closed.then(() => false)]);
  if (!got) throw new Error(`no lock on ${file} within ${LOCK_WAIT} s`);
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await closed;
  }
}
