// What EMQX's plugin left in Redis (original/), as if it had been stored just now.

import { readFileSync } from "node:fs";
import { fromB62 } from "../../src/mqtt/base62.ts";
import type { Message, QoS } from "../../src/mqtt/message.ts";
import type { RedisClient } from "../support/redis-client.ts";

interface RecordedHash {
  readonly key: string;
  readonly type: "hash";
  readonly ttl: number;
  readonly fields: readonly { readonly field: string; readonly value_base64: string }[];
}
interface RecordedSet {
  readonly key: string;
  readonly type: "zset";
  readonly ttl: number;
  readonly members: readonly { readonly member: string; readonly score: string }[];
}
type RecordedKey = RecordedHash | RecordedSet;

interface Expected {
  readonly subscriptions: readonly { readonly clientid: string; readonly topic: string; readonly qos: QoS }[];
  readonly stored_in_order: readonly {
    readonly sender: string;
    readonly topic: string;
    readonly qos: QoS;
    readonly retain: boolean;
    readonly payload_base64: string;
  }[];
}

export const expected: Expected = read("expected.json");
const recorded: readonly RecordedKey[] = read("redis.json");

/** A key and what it holds, in a form that compares; scores and times as they are in Redis. */
export interface KeyContent {
  readonly key: string;
  readonly type: string;
  /** Of a hash: fields and values in base64, in their order. Of a sorted set: members and scores. */
  readonly content: readonly (readonly [name: string, value: string])[];
}

/** What lies between the recording and now, in ms. */
const age =
  Date.now() -
  Math.max(
    ...recorded.flatMap((key) => (key.type === "zset" ? key.members.map(({ score }) => Math.ceil(Number(score))) : [])),
  );

/** The keys of the original, with times of now. */
export const originalKeys: readonly (KeyContent & { readonly ttl: number })[] = recorded.map((key) => ({
  key: key.key,
  type: key.type,
  ttl: key.ttl,
  content:
    key.type === "zset"
      ? key.members.map(({ member, score }) => [member, String(Number(score) + age)] as const)
      : key.fields.map(
          ({ field, value_base64 }) => [field, field === "ts" ? laterTime(value_base64) : value_base64] as const,
        ),
}));

/** The messages of the original, in publish order. */
export function originalMessages(): Message[] {
  const scores = new Map(originalKeys.filter(({ type }) => type === "zset").flatMap(({ content }) => content));
  const hashes = originalKeys.filter(
    ({ key }) => key.startsWith("mqtt:msg:") && scores.has(key.slice("mqtt:msg:".length)),
  );
  return hashes
    .map(({ content }) => {
      const value = (field: string) => Buffer.from(content.find(([name]) => name === field)?.[1] ?? "", "base64");
      const id62 = String(value("id"));
      const message: Message = {
        id: fromB62(id62),
        from: String(value("from")),
        topic: String(value("topic")),
        qos: Number(value("qos")) as QoS,
        retain: String(value("retain")) === "true",
        payload: value("payload"),
        timestamp: Number(value("ts")),
      };
      return { message, score: Number(scores.get(id62)) };
    })
    .sort((a, b) => a.score - b.score)
    .map(({ message }) => message);
}

/** Writes all keys, as the original left them. */
export async function loadOriginal(client: RedisClient): Promise<void> {
  for (const { key, type, ttl, content } of originalKeys) {
    for (const [name, value] of content) {
      if (type === "zset") await client.command("ZADD", key, value, name);
      else await client.command("HSET", key, name, Buffer.from(value, "base64"));
    }
    if (ttl >= 0) await client.command("EXPIRE", key, ttl);
  }
}

/** Every key that Redis holds, sorted by name, with its TTL in seconds. */
export async function allKeys(client: RedisClient): Promise<(KeyContent & { readonly ttl: number })[]> {
  const found: (KeyContent & { ttl: number })[] = [];
  for (const key of await client.keys()) {
    const type = String(await client.text("TYPE", key));
    const flat = (await client.command(
      ...(type === "zset" ? ["ZRANGE", key, 0, -1, "WITHSCORES"] : ["HGETALL", key]),
    )) as Buffer[];
    const content = flat.flatMap((name, at) =>
      at % 2 === 1
        ? []
        : [
            [
              String(name),
              type === "zset" ? String(flat[at + 1]) : (flat[at + 1] as Buffer).toString("base64"),
            ] as const,
          ],
    );
    found.push({ key, type, ttl: Number(await client.text("TTL", key)), content });
  }
  return found;
}

function laterTime(base64: string): string {
  return Buffer.from(String(Number(Buffer.from(base64, "base64")) + age)).toString("base64");
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`./original/${file}`, import.meta.url), "utf8"));
}
