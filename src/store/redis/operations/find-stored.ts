// Which of some messages are stored.

import { fromB62 } from "../../../mqtt/base62.ts";
import type { MessageId } from "../../../mqtt/message-id.ts";
import type { RedisContext } from "../context.ts";

/** Throws the error of Redis or the connection. */
export async function findStored({ keys, send }: RedisContext, ids62: readonly string[]): Promise<MessageId[]> {
  // Asked for a sorted set, Redis says that a hash is none, or that there is nothing: no payload comes over.
  const replies = await send(ids62.map((id62) => ["ZRANGE", keys.message(id62), 0, 0]));
  return ids62.flatMap((id62, at) => {
    const reply = replies[at];
    if (!(reply instanceof Error)) return [];
    if (!reply.message.startsWith("WRONGTYPE")) throw reply;
    return [fromB62(id62)];
  });
}
