// Carries out the writes of one flush: one statement of messages to save, those to remove, and the changes of subscriptions.

import type { Message } from "../../mqtt/message.ts";
import type { MessageId } from "../../mqtt/message-id.ts";
import type { Subscription } from "../../mqtt/subscription.ts";
import { StoreTooLargeError } from "../errors.ts";
import type { Outcome } from "../remote-calls.ts";
import type { SavedIds } from "../saved-ids.ts";
import type { MessageKey } from "../store.ts";
import type { MySqlContext } from "./context.ts";
import { deleteMessages } from "./operations/delete-messages.ts";
import { findSaved } from "./operations/find-saved.ts";
import { fitsPacket, nextStatement, saveMessages } from "./operations/save-messages.ts";
import { deleteSubscription, saveSubscription } from "./operations/subscriptions.ts";
import { unlessDeadlocked } from "./operations/unless-deadlocked.ts";

export type WriteRequest =
  | { readonly kind: "saveMessage"; readonly message: Message }
  | { readonly kind: "deleteMessages"; readonly keys: readonly MessageKey[] }
  | { readonly kind: "saveSubscription"; readonly subscription: Subscription }
  | { readonly kind: "deleteSubscription"; readonly clientId: string; readonly topicFilter: string };

/** What a flush has to know of those before it. */
export interface FlushMemory {
  readonly savedIds: SavedIds;
  /** Messages whose statement was sent and not answered: they may be stored. */
  readonly unsure: Set<MessageId>;
  /** Of the statement before: the rows of the next one have higher ids. */
  lastRowId: number;
}

export interface FlushEvents {
  /** A subscription whose key another one has. */
  collided(subscription: Subscription): void;
}

/** What became of each request, by its place. Never rejects. */
export async function writeFlush(
  context: MySqlContext,
  memory: FlushMemory,
  all: readonly WriteRequest[],
  events: FlushEvents,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = new Array(all.length).fill("again");
  const end = firstConflict(all);
  const saves: number[] = [];
  for (let at = 0; at < end; at++) if (all[at]?.kind === "saveMessage") saves.push(at);
  const left = await save(context, memory, all, saves, outcomes);
  // What waits for the next flush keeps its place before what concerns the same message.
  const waiting = new Set(left.map((at) => messageOf(all[at]).id));
  const removals: number[] = [];
  for (let at = 0; at < end; at++) {
    const request = all[at] as WriteRequest;
    if (request.kind === "deleteMessages" && !request.keys.some(({ id }) => waiting.has(id))) removals.push(at);
  }
  await attempt(removals, outcomes, async () => {
    const keys = removals.flatMap((at) => (all[at] as { readonly keys: readonly MessageKey[] }).keys);
    if (keys.length > 0) await deleteMessages(context, keys);
  });
  for (let at = 0; at < end; at++) {
    const request = all[at] as WriteRequest;
    if (request.kind !== "saveSubscription" && request.kind !== "deleteSubscription") continue;
    await attempt([at], outcomes, async () => {
      if (request.kind === "deleteSubscription") await deleteSubscription(context, request);
      else if (!(await saveSubscription(context, request.subscription))) events.collided(request.subscription);
    });
    // Later changes must not overtake this one.
    if (outcomes[at] instanceof Error) break;
  }
  return outcomes;
}

async function attempt(places: readonly number[], outcomes: Outcome[], work: () => Promise<void>): Promise<void> {
  let outcome: Outcome = "done";
  try {
    // Each can be repeated from its beginning.
    await unlessDeadlocked(work);
  } catch (error) {
    outcome = error as Error;
  }
  for (const at of places) outcomes[at] = outcome;
}

/** Saves what fits in one statement; returns the places of what is left for the next flush. */
async function save(
  context: MySqlContext,
  memory: FlushMemory,
  all: readonly WriteRequest[],
  saves: readonly number[],
  outcomes: Outcome[],
): Promise<number[]> {
  const { savedIds, unsure } = memory;
  let batch: number[] = [];
  try {
    const doubtful = saves.filter((at) => savedIds.mayBeStored(messageOf(all[at]).id));
    const open = saves.filter((at) => unsure.has(messageOf(all[at]).id));
    const stored = new Set([
      ...(await found(context, all, doubtful, 0)),
      ...(await found(context, all, open, memory.lastRowId)),
    ]);
    // The others are not looked for now: nobody waits for them any more, but they may be saved once more.
    const here = new Set(saves.map((at) => messageOf(all[at]).id));
    for (const id of unsure) if (!here.has(id)) savedIds.add(id);
    unsure.clear();
    const waiting: number[] = [];
    for (const at of saves) {
      const message = messageOf(all[at]);
      if (stored.has(message.id)) outcomes[at] = "done";
      else if (!fitsPacket(context, message)) outcomes[at] = tooLargeForPacket(context);
      else waiting.push(at);
    }
    const messages = waiting.map((at) => messageOf(all[at]));
    const count = nextStatement(context, messages);
    batch = waiting.slice(0, count);
    if (batch.length === 0) return [];
    const results = await saveMessages(context, messages.slice(0, count));
    for (const [index, at] of batch.entries()) {
      const result = results[index] as Outcome;
      outcomes[at] = result;
      if (result === "done") savedIds.add(messageOf(all[at]).id);
    }
    // The lowest: how many ids a statement takes depends on the template, as with ON DUPLICATE KEY UPDATE.
    let lowest = Number.POSITIVE_INFINITY;
    for (const at of batch) lowest = Math.min(lowest, context.rowIds.rowIdOf(messageOf(all[at]).id) ?? 0);
    memory.lastRowId = lowest;
    return waiting.slice(count);
  } catch (error) {
    for (const at of batch) unsure.add(messageOf(all[at]).id);
    for (const at of saves) if (outcomes[at] === "again") outcomes[at] = error as Error;
    return [];
  }
}

async function found(
  context: MySqlContext,
  all: readonly WriteRequest[],
  places: readonly number[],
  above: number,
): Promise<ReadonlySet<MessageId>> {
  return places.length === 0
    ? new Set()
    : findSaved(
        context,
        places.map((at) => messageOf(all[at])),
        above,
      );
}

function tooLargeForPacket({ layout }: MySqlContext): Error {
  return new StoreTooLargeError(
    `The message is larger than max_allowed_packet of MySQL (${layout.maxPacket} bytes): raise it, or send smaller messages.`,
  );
}

function messageOf(request: WriteRequest | undefined): Message {
  return (request as { readonly message: Message }).message;
}

/** Where the first request stands that saves an id which an earlier one saves or removes; their number when there is none. */
function firstConflict(requests: readonly WriteRequest[]): number {
  const ids = new Set<MessageId>();
  for (const [at, request] of requests.entries()) {
    if (request.kind === "saveMessage") {
      if (ids.has(request.message.id)) return at;
      ids.add(request.message.id);
    } else if (request.kind === "deleteMessages") for (const { id } of request.keys) ids.add(id);
  }
  return requests.length;
}
