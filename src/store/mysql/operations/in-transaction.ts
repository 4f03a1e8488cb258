// Several statements as one transaction, on a connection that does nothing else meanwhile.

import type { MySqlContext } from "../context.ts";

/** Rejects with the error of the work, after taking back what it did, or of the commit. */
export async function inTransaction({ execute }: MySqlContext, work: () => Promise<void>): Promise<void> {
  await execute("START TRANSACTION");
  try {
    await work();
  } catch (error) {
    // A connection that broke has ended the transaction too.
    await execute("ROLLBACK").catch(() => {});
    throw error;
  }
  await execute("COMMIT");
}
