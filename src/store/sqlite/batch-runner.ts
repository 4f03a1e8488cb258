// Runs batches in the worker thread: the writes of a batch as one transaction, then its reads; and knows how the
// database is.
//
// What goes wrong is told apart by whom it concerns. *One call* (a limit, a payload too large): that call fails, the
// transaction goes on. *Locked*: nothing was executed, the owner may try again. *Full*: the saves fail, the rest runs
// again without them, since deletions are what makes room. *All else*: what is not done fails, the connection is
// closed, and a later batch opens it anew.

import { concernsOneCall, describe, isFull, isLocked, type Problem, ProblemError } from "../../sqlite/problem.ts";
import { type ReleaseResult, releasePages } from "../../sqlite/release-pages.ts";
import { monotonicTime } from "../call-queue.ts";
import { BatchRun } from "./batch-run.ts";
import { Database } from "./database.ts";
import { deleteMessages } from "./operations/delete-messages.ts";
import { deleteSubscription } from "./operations/delete-subscription.ts";
import { expire } from "./operations/expire.ts";
import { findStored } from "./operations/find-stored.ts";
import { lastMessageId } from "./operations/last-message-id.ts";
import { listClients } from "./operations/list-clients.ts";
import { listPacketIds } from "./operations/list-packet-ids.ts";
import { listStaleClients } from "./operations/list-stale-clients.ts";
import { listSubscriptions } from "./operations/list-subscriptions.ts";
import { listTopics } from "./operations/list-topics.ts";
import { purge } from "./operations/purge.ts";
import { readMessage } from "./operations/read-message.ts";
import { readPage } from "./operations/read-page.ts";
import { saveMessage } from "./operations/save-message.ts";
import { saveSubscription } from "./operations/save-subscription.ts";
import { totals } from "./operations/totals.ts";
import { touchSubscriptions } from "./operations/touch-subscriptions.ts";
import { tryWrite } from "./operations/try-write.ts";
import type { WorkerOptions } from "./options.ts";
import type { BatchMessage, ReadRequest, Reply, Result, WriteRequest } from "./protocol.ts";

/** How long before its deadline a call gives up waiting for a lock, so that its answer arrives in time; in ms. */
const DEADLINE_MARGIN = 50;
/** How long a health check waits for a lock, in ms. */
const HEALTH_CHECK_TIMEOUT = 100;
/** How long a database that could not be opened is left alone, in ms. */
const REOPEN_DELAY = 400;

export class BatchRunner {
  readonly #options: WorkerOptions;
  #database: Database | undefined;
  /** Why the last attempt failed, unless it was for want of room. */
  #problem: Problem | undefined;
  /** The last message found no room: why, and the bytes it wanted. */
  #full: { problem: Problem; roomWanted: number } | undefined;
  #openAgainAt = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  run(batch: BatchMessage): Reply {
    const run = new BatchRun(batch);
    try {
      const database = this.#open(run);
      if (run.writes > 0) this.#runWrites(database, run);
      this.#runReads(database, run);
    } catch (error) {
      const problem = this.#fail(error);
      if (error instanceof LockedError && !run.onlyHealthChecks) {
        return { outcome: "locked", failures: [], results: [], dropped: 0, health: problem };
      }
      run.failRest(problem);
    }
    return run.reply(this.#problem ?? this.#full?.problem);
  }

  /** One bounded step of giving free pages back to the file system, while there is nothing else to do. */
  releasePages(): ReleaseResult {
    if (this.#database === undefined) return "finished";
    try {
      this.#database.setBusyTimeout(0);
      return releasePages(this.#database.connection);
    } catch (error) {
      // A lock is no problem here: the next quiet time will do.
      if (!isLocked(error)) this.#fail(error);
      return "finished";
    }
  }

  close(): void {
    const database = this.#database;
    this.#database = undefined;
    database?.close();
  }

  #fail(error: unknown): Problem {
    const cause = error instanceof LockedError ? error.cause : error;
    const problem = describe(cause, this.#options.path);
    if (isFull(cause)) this.#full ??= { problem, roomWanted: 0 };
    else {
      this.#problem = problem;
      if (!isLocked(cause)) this.close();
    }
    return problem;
  }

  #open(run: BatchRun): Database {
    if (this.#database !== undefined) return this.#database;
    if (this.#problem !== undefined && monotonicTime() < this.#openAgainAt) throw new ProblemError(this.#problem);
    try {
      this.#database = new Database(this.#options, lockTimeout(run));
    } catch (error) {
      if (isLocked(error)) throw new LockedError(error);
      this.#openAgainAt = monotonicTime() + REOPEN_DELAY;
      throw error;
    }
    this.#problem = undefined;
    this.#full = undefined;
    return this.#database;
  }

  #runWrites(database: Database, run: BatchRun): void {
    try {
      transaction(database, run);
    } catch (error) {
      if (!isFull(error)) throw error;
      const problem = describe(error, this.#options.path);
      if (this.#full === undefined) emptyLog(database);
      this.#full = { problem, roomWanted: run.batch.messages.payloads.byteLength };
      transaction(database, run, problem);
    }
    database.checkFile();
    run.doneUpTo(run.writes);
    this.#problem = undefined;
    // A full database takes deletions: only a message that was saved shows that there is room.
    if (run.saved > 0) this.#full = undefined;
  }

  #runReads(database: Database, run: BatchRun): void {
    run.reads.forEach((request, read) => {
      const at = run.writes + read;
      try {
        if (request.kind === "checkHealth") this.#checkHealth(database);
        else run.succeed(at, performRead(database, request));
      } catch (error) {
        if (!concernsOneCall(error)) throw error;
        run.fail(at, describe(error, this.#options.path));
      }
      run.doneUpTo(at + 1);
    });
  }

  #checkHealth(database: Database): void {
    database.setBusyTimeout(HEALTH_CHECK_TIMEOUT);
    database.checkFile();
    try {
      tryWrite(database, this.#full?.roomWanted);
      this.#full = undefined;
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#fail(error);
    }
    this.#problem = undefined;
  }
}

/** Another process holds the lock, and nothing was executed. */
class LockedError extends Error {
  constructor(cause: unknown) {
    super("locked", { cause });
  }
}

/** Runs the writes. With `refused` the saves fail with that instead of being tried. */
function transaction(database: Database, run: BatchRun, refused?: Problem): void {
  const { requests, messages, packetIds } = run.batch;
  run.startOver();
  database.setBusyTimeout(lockTimeout(run));
  try {
    database.begin();
  } catch (error) {
    throw isLocked(error) ? new LockedError(error) : error;
  }
  try {
    let message = 0;
    for (let at = 0; at < run.writes; at++) {
      const request = requests[at] as WriteRequest | null;
      try {
        if (request !== null) run.succeed(at, performWrite(database, request));
        else if (refused !== undefined) run.fail(at, refused);
        else {
          const next = message++;
          run.dropped += saveMessage(database, messages, next, packetIds[next] as number);
          run.saved++;
        }
      } catch (error) {
        if (!concernsOneCall(error)) throw error;
        run.fail(at, describe(error, database.options.path));
      }
    }
    database.commit();
  } catch (error) {
    database.rollback();
    throw error;
  }
}

/** On a full disk the log can give back what the database has taken over from it, so that deletions have room. */
function emptyLog(database: Database): void {
  try {
    database.connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (error) {
    // The database cannot take over its log for want of room: the deletions will fail and say so.
    if (!isFull(error) && !isLocked(error)) throw error;
  }
}

function performWrite(database: Database, request: WriteRequest): Result | undefined {
  switch (request.kind) {
    case "deleteMessages":
      deleteMessages(database, request.ids);
      return undefined;
    case "saveSubscription":
      saveSubscription(database, request);
      return undefined;
    case "deleteSubscription":
      deleteSubscription(database, request);
      return undefined;
    case "touchSubscriptions":
      touchSubscriptions(database, request);
      return undefined;
    case "purge":
      return purge(database, request);
    case "expire":
      return expire(database, request);
  }
}

function performRead(database: Database, request: Exclude<ReadRequest, { kind: "checkHealth" }>): Result {
  switch (request.kind) {
    case "readPage":
      return readPage(database, request);
    case "readMessage":
      return readMessage(database, request);
    case "findStored":
      return findStored(database, request.ids);
    case "listSubscriptions":
      return listSubscriptions(database, request.clientId);
    case "listClients":
      return listClients(database, request);
    case "listStaleClients":
      return listStaleClients(database, request);
    case "listTopics":
      return listTopics(database, request);
    case "totals":
      return totals(database);
    case "lastMessageId":
      return lastMessageId(database);
    case "listPacketIds":
      return listPacketIds(database, request);
  }
}

/** How long this batch may wait for a lock, in ms. */
function lockTimeout(run: BatchRun): number {
  const left = run.batch.deadline - monotonicTime() - DEADLINE_MARGIN;
  return Math.max(0, run.onlyHealthChecks ? Math.min(left, HEALTH_CHECK_TIMEOUT) : left);
}
