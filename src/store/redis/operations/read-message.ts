// Reads one message by its id.

import type { Message } from "../../../mqtt/message.ts";
import { deathOf } from "../../message-death.ts";
import type { RedisContext } from "../context.ts";
import { fromFields } from "../message-hash.ts";

/** Undefined: it is not stored, or has expired. Throws the error of Redis or the connection. */
export async function readMessage(
  { keys, send, messageTtl }: RedisContext,
  id62: string,
): Promise<Message | undefined> {
  const [message] = await send([["HGETALL", keys.message(id62)]], (reply) => fromFields(reply, { id62 }));
  // A key that holds something else.
  if (message instanceof Error && message.message.startsWith("WRONGTYPE")) return undefined;
  if (message instanceof Error) throw message;
  return message !== undefined && deathOf(message, messageTtl) > Date.now() ? message : undefined;
}
