// Carries out the writes of one flush: a look at ids that may be stored already, one pipeline, and what each reply means
// for its call.

import type { Subscription } from "../../mqtt/subscription.ts";
import { type StoreError, StoreInvalidError } from "../errors.ts";
import type { Outcome } from "../remote-calls.ts";
import type { SavedIds } from "../saved-ids.ts";
import type { RedisCommand, Reply } from "./command.ts";
import type { IndexEntry, RedisContext } from "./context.ts";
import { entryRemovalCommands, removalCommands, removalError } from "./operations/remove-messages.ts";
import { SaveBatch, type Saving } from "./operations/save-messages.ts";
import { deleteSubscriptionCommand, saveSubscriptionCommand } from "./operations/subscriptions.ts";
import { IndexTakenError } from "./problem.ts";

export type WriteRequest =
  | ({ readonly kind: "saveMessage" } & Saving)
  | { readonly kind: "deleteMessages"; readonly entries: readonly IndexEntry[] }
  /** Entries that have lost their hashes. */
  | { readonly kind: "removeEntries"; readonly entries: readonly IndexEntry[] }
  | { readonly kind: "saveSubscription"; readonly subscription: Subscription }
  | { readonly kind: "deleteSubscription"; readonly clientId: string; readonly topicFilter: string };

/**
 * What became of each request, by its place. The errors are those of Redis or the connection, or `StoreInvalidError` when a key
 * that a message needs holds another kind of data.
 */
export async function writeFlush(
  context: RedisContext,
  savedIds: SavedIds,
  all: readonly WriteRequest[],
): Promise<Outcome[]> {
  const requests = all.slice(0, firstConflict(all));
  const outcomes: Outcome[] = all.map((_, at) => (at < requests.length ? "done" : "again"));
  const savings: Saving[] = [];
  const savingOf: number[] = [];
  const doubtful: number[] = [];
  // By place, here and below: entries() makes two objects for each request, and these are young garbage by the thousand.
  for (let at = 0; at < requests.length; at++) {
    const request = requests[at] as WriteRequest;
    if (request.kind !== "saveMessage") continue;
    if (savedIds.mayBeStored(request.message.id)) doubtful.push(at);
    else {
      savings.push(request);
      savingOf.push(at);
    }
  }
  if (doubtful.length > 0) {
    const requestOf = (at: number) => requests[at] as Saving;
    const found = await context.send(doubtful.map((at) => ["HGETALL", context.keys.message(requestOf(at).id62)]));
    for (const [index, reply] of found.entries()) {
      const at = doubtful[index] as number;
      if (reply instanceof Error) outcomes[at] = isWrongType(reply) ? takenError(requestOf(at), "message") : reply;
      else if (Array.isArray(reply) && reply.length === 0) {
        savings.push(requestOf(at));
        savingOf.push(at);
      }
    }
  }
  const batch = new SaveBatch(context, savings, Date.now());
  const commands: RedisCommand[] = [...batch.commands];
  const rangeOf: (readonly [start: number, end: number] | undefined)[] = new Array(requests.length);
  for (let at = 0; at < requests.length; at++) {
    const request = requests[at] as WriteRequest;
    if (request.kind === "saveMessage") continue;
    const start = commands.length;
    for (const command of commandsOf(context, request)) commands.push(command);
    rangeOf[at] = [start, commands.length];
  }
  const replies = commands.length === 0 ? [] : await context.send(commands);
  const remains: { hash?: string; entry?: IndexEntry }[] = [];
  for (let index = 0; index < savingOf.length; index++) {
    const at = savingOf[index] as number;
    const error = batch.errorOf(index, replies);
    if (error === undefined) {
      savedIds.add((savings[index] as Saving).message.id);
      continue;
    }
    const holder = batch.takenBy(index, replies);
    outcomes[at] = holder === undefined ? error : takenError(savings[index] as Saving, holder);
    if (error.name === "ReplyError" || error instanceof IndexTakenError) remains.push(batch.remains(index, replies));
  }
  for (let at = 0; at < rangeOf.length; at++) {
    const range = rangeOf[at];
    if (range !== undefined) outcomes[at] = removalError(replies.slice(...range)) ?? "done";
  }
  await takeBack(context, remains);
  return outcomes;
}

/** What the publisher is told of a key that is taken. */
function takenError({ message: { topic } }: Saving, holder: "topic" | "message"): StoreError {
  return new StoreInvalidError(
    holder === "topic"
      ? `The key of the topic ${topic.slice(0, 80)} in Redis holds something else: publish to another topic, or remove that key.`
      : "The key of this message in Redis holds something else: publish it again.",
  );
}

/**
 * Where a flush has to end, lest saves that go out before removals, and look for what is stored before both, turn the order
 * of the calls round.
 */
function firstConflict(requests: readonly WriteRequest[]): number {
  const ids = new Set<string>();
  for (let at = 0; at < requests.length; at++) {
    const request = requests[at] as WriteRequest;
    if (request.kind === "saveMessage") {
      if (ids.has(request.id62)) return at;
      ids.add(request.id62);
    } else if ("entries" in request) {
      for (const { id62 } of request.entries) ids.add(id62);
    }
  }
  return requests.length;
}

function commandsOf(context: RedisContext, request: Exclude<WriteRequest, { kind: "saveMessage" }>): RedisCommand[] {
  const { keys } = context;
  switch (request.kind) {
    case "deleteMessages":
      return removalCommands(context, request.entries);
    case "removeEntries":
      return entryRemovalCommands(keys, request.entries);
    case "saveSubscription":
      return [saveSubscriptionCommand(keys, request.subscription)];
    case "deleteSubscription":
      return [deleteSubscriptionCommand(keys, request.clientId, request.topicFilter)];
  }
}

/** Removes what was written of messages that are refused. What cannot be removed now has its expiry, or is swept. */
async function takeBack(
  { keys, send }: RedisContext,
  remains: readonly { hash?: string; entry?: IndexEntry }[],
): Promise<void> {
  const commands: RedisCommand[] = [];
  for (const { hash } of remains) if (hash !== undefined) commands.push(["DEL", keys.message(hash)]);
  const entries = remains.flatMap(({ entry }) => (entry === undefined ? [] : [entry]));
  commands.push(...entryRemovalCommands(keys, entries));
  if (commands.length > 0) await send(commands);
}

function isWrongType(reply: Reply): boolean {
  return reply instanceof Error && reply.message.startsWith("WRONGTYPE");
}

/** Keys that requests need, up to a number of them. */
export function keysOf({ keys }: RedisContext, requests: readonly WriteRequest[], limit: number): string[] {
  const found = new Set<string>();
  for (const request of requests) {
    if (found.size >= limit) break;
    switch (request.kind) {
      case "saveMessage":
        found.add(keys.topic(request.message.topic)).add(keys.message(request.id62));
        break;
      case "deleteMessages":
      case "removeEntries":
        for (const { topic, id62 } of request.entries) found.add(keys.topic(topic)).add(keys.message(id62));
        break;
      case "saveSubscription":
        found.add(keys.subscriptions(request.subscription.clientId));
        break;
      case "deleteSubscription":
        found.add(keys.subscriptions(request.clientId));
        break;
    }
  }
  return [...found].slice(0, limit);
}
