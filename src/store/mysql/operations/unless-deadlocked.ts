// Tries again at once what the server has taken back whole: nobody has to wait, and nobody need be told.

import { isDeadlock } from "../problem.ts";

const TRIES = 3;

/** `work`: one statement or a whole transaction. Rejects as it does, after some deadlocks with that error. */
export async function unlessDeadlocked<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES || !isDeadlock(error)) throw error;
    }
  }
}
