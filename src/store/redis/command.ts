// Commands to Redis and their replies, as the connection sends and gives them.

export type Argument = string | number | Buffer;

export type RedisCommand = readonly [name: string, ...args: Argument[]];

/** Texts come as bytes. What failed is an `Error`: a `ReplyError` when Redis said so, else the connection's. */
export type Reply = Buffer | number | null | Error | Reply[];

/** Turns the reply to a command, by the command's place, into what its sender wants of it, in the moment in which it comes. */
export type Convert<Result> = (reply: Reply, at: number) => Result;

/** One round trip. Never rejects: each command's reply, or what `convert` makes of it, or the error that came instead. */
export type Send = <Result = Reply>(
  commands: readonly RedisCommand[],
  convert?: Convert<Result>,
) => Promise<(Result | Error)[]>;

/** A member of a sorted set with its score. */
export interface ScoredMember {
  readonly member: string;
  readonly score: number;
}

/** The reply to a ZRANGE … WITHSCORES; throws the error that came instead. */
export function scoredMembers(reply: Reply | undefined): ScoredMember[] {
  const texts = membersOf(reply);
  const found: ScoredMember[] = new Array(texts.length >> 1);
  for (let at = 0; at < found.length; at++) {
    found[at] = { member: texts[2 * at] as string, score: Number(texts[2 * at + 1]) };
  }
  return found;
}

/** A list of texts; throws the error that came instead. */
export function membersOf(reply: Reply | undefined): string[] {
  if (reply instanceof Error) throw reply;
  return Array.isArray(reply) ? reply.map(String) : [];
}
