// What an error of Redis or of its connection means for the calls that met it, in words that tell what to do.

import { type StoreError, StoreInvalidError, StoreUnavailableError } from "../errors.ts";
import type { RedisMode } from "./options.ts";
import { SentinelError } from "./sentinel-error.ts";
import { UnreachableError } from "./unreachable.ts";

export interface Problem {
  /**
   * `retry`: may be over in a moment. `refused`: lasts until somebody does something. `taken`: the key holds another kind
   * of data, which concerns this call alone.
   */
  readonly kind: "retry" | "refused" | "taken";
  readonly error: StoreError;
}

/** What messages say of the servers. */
export interface Place {
  /** Begins a sentence. */
  readonly name: string;
  readonly mode: RedisMode;
  /** Patterns of all keys, as a Redis user is given them. */
  readonly keyPatterns: readonly string[];
}

/** The key of the index of topics holds something else, so nothing can be stored at all. */
export class IndexTakenError extends Error {}

/** By the first word of Redis's answer. */
const REFUSED: Readonly<Record<string, string>> = {
  OOM: "Redis has no memory left for messages: raise its maxmemory, or fetch or purge what is stored.",
  NOAUTH: "Redis asks for a password: set redis.username and redis.password.",
  WRONGPASS: "Redis does not accept the user name and password: correct redis.username and redis.password.",
  NOPERM: "The Redis user lacks a right that the store needs: grant what docs/redis.md lists.",
  MISCONF: "Redis cannot write to its disk and refuses writes: free its disk, and see its log.",
  "DB index": "Redis has no such database: correct redis.database, or raise databases in redis.conf.",
  MOVED: "This Redis server is a node of a cluster: set redis.redis_type = cluster.",
  "cluster support disabled": "Redis is no cluster: correct redis.redis_type or redis.servers.",
  NOREPLICAS: "Redis has fewer replicas than min-replicas-to-write asks for: start them again.",
};

const RETRY: Readonly<Record<string, string>> = {
  LOADING: "Redis is loading its data: wait until it is done.",
  READONLY: "This Redis server is a replica now, which takes no writes: the new master is being looked for.",
  MASTERDOWN: "The Redis replica has lost its master: start the master again.",
  CLUSTERDOWN: "The Redis cluster is down: start the missing nodes, or let a replica take over.",
  TRYAGAIN: "A slot of the Redis cluster is being moved: wait until it is done.",
  MOVED: "A slot of the Redis cluster is at another node: its new place is being looked for.",
  ASK: "A slot of the Redis cluster is being moved: wait until it is done.",
  BUSY: "Redis is busy with a script: end the script.",
};

/** What an error means. */
export function problemOf(error: Error, place: Place): Problem {
  if (error instanceof IndexTakenError) {
    return {
      kind: "refused",
      error: new StoreUnavailableError(
        "The key of the index of topics in Redis holds something else: remove the key that ends in :#topics.",
      ),
    };
  }
  if (error instanceof SentinelError) return { kind: error.kind, error: new StoreUnavailableError(error.message) };
  if (error.name !== "ReplyError") {
    const { server, message, advice } =
      error instanceof UnreachableError
        ? error
        : new UnreachableError(place.name, error.message, "start it, or correct redis.servers and redis.ssl");
    return { kind: "retry", error: new StoreUnavailableError(`${server} cannot be reached (${message}): ${advice}.`) };
  }
  const { message } = error;
  const [word = ""] = message.split(" ", 1);
  if (word === "WRONGTYPE") {
    return { kind: "taken", error: new StoreInvalidError("Its key in Redis holds another kind of data.") };
  }
  const again = word === "MOVED" && place.mode !== "cluster" ? undefined : RETRY[word];
  if (again !== undefined) return { kind: "retry", error: new StoreUnavailableError(again) };
  const words = REFUSED[wordsOf(message)];
  return {
    kind: "refused",
    error: new StoreUnavailableError(
      words === undefined ? `Redis refuses a command: ${message}.` : addDetail(words, message, place),
    ),
  };
}

/** What an answer that begins with ERR, or says the same in other words, is listed under. */
function wordsOf(message: string): string {
  if (/invalid password|password is set|AUTH failed/i.test(message)) return "WRONGPASS";
  if (/DB index/.test(message)) return "DB index";
  if (/cluster support disabled/.test(message)) return "cluster support disabled";
  return message.split(" ", 1)[0] ?? "";
}

/** NOPERM names the command that is not allowed, but no key. */
function addDetail(words: string, message: string, { keyPatterns }: Place): string {
  if (!message.startsWith("NOPERM")) return words;
  if (/\bkeys?\b/.test(message)) {
    return `The Redis user lacks the right to keys that the store needs: give it ${keyPatterns.map((pattern) => `~${pattern}`).join(" and ")}. (${message})`;
  }
  return `${words} (${message})`;
}
