// Raw Redis: the commands of the store, pipelined by the same library in a worker thread, with nothing else; and the commands
// of EMQX's plugin, each of which waits for the one before.

import { parentPort, workerData } from "node:worker_threads";
import { Command, Pipeline, Redis } from "ioredis";
import { toB62 } from "../../src/mqtt/base62.ts";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import type { RedisServer } from "../../src/store/redis/options.ts";
import type { RawResult } from "./jobs.ts";
import { measure } from "./measure.ts";
import type { ServerJob, ServerWork } from "./server-jobs.ts";

/** message_ttl by default, in seconds. */
const LIFE = 7200;
/** So that the library never waits for an answer before it writes the next pipeline. */
const PIPELINES = 2;

type Step = [name: string, ...args: (string | number | Buffer)[]];

const ids = new MessageIdGenerator();
const { place, job } = workerData as ServerWork<RedisServer>;

function connect(): Redis {
  return new Redis({ ...place, enableReadyCheck: false, protocol: 2 });
}

function fields(id: string, topic: string, payload: Buffer): (string | Buffer)[] {
  const ts = String(Date.now());
  return ["id", id, "from", "bench", "qos", "1", "topic", topic, "payload", payload, "ts", ts, "retain", "false"];
}

/** What the store sends for these messages. */
function saving(messages: readonly (readonly [id: string, topic: string])[], payload: Buffer): Step[] {
  const now = Date.now();
  const byTopic = Map.groupBy(messages, ([, topic]) => topic);
  const commands: Step[] = [["ZADD", "mqtt:msg:#topics", "GT", ...[...byTopic.keys()].flatMap((t) => [now, t])]];
  for (const [topic, own] of byTopic) {
    commands.push(["ZADD", `mqtt:msg:${topic}`, "NX", ...own.flatMap(([id]) => [now, id])]);
  }
  for (const [id, topic] of messages) commands.push(["HSET", `mqtt:msg:${id}`, ...fields(id, topic, payload)]);
  for (const [id] of messages) commands.push(["EXPIRE", `mqtt:msg:${id}`, LIFE]);
  for (const topic of byTopic.keys()) commands.push(["EXPIRE", `mqtt:msg:${topic}`, LIFE]);
  commands.push(["EXPIRE", "mqtt:msg:#topics", LIFE]);
  return commands;
}

async function save(job: Extract<ServerJob, { kind: "save" }>): Promise<RawResult> {
  const { topics, payloadBytes, batch } = job;
  const redis = connect();
  const payload = Buffer.alloc(payloadBytes, "x");
  let number = 0;
  const step = async (): Promise<number> => {
    const messages = Array.from({ length: batch }, () => {
      return [toB62(ids.next()), topics[number++ % topics.length] as string] as const;
    });
    await run(redis, saving(messages, payload));
    return batch;
  };
  const result = await measure(
    job,
    Array.from({ length: PIPELINES }, () => step),
  );
  redis.disconnect();
  return result;
}

/** As EMQX's plugin: it never sends the next command of a connection before the answer to the one before has come. */
async function oneByOne(job: Extract<ServerJob, { kind: "oneByOne" }>): Promise<RawResult> {
  const { topics, payloadBytes, connections } = job;
  const payload = Buffer.alloc(payloadBytes, "x");
  let number = 0;
  const clients = Array.from({ length: connections }, connect);
  const result = await measure(
    job,
    clients.map((redis) => async (): Promise<number> => {
      const id = toB62(ids.next());
      const topic = topics[number++ % topics.length] as string;
      const now = Date.now();
      await redis.hmset(`mqtt:msg:${id}`, ...fields(id, topic, payload));
      await redis.expire(`mqtt:msg:${id}`, String(LIFE));
      await redis.zadd(`mqtt:msg:${topic}`, String(now), id);
      await redis.zremrangebyscore(`mqtt:msg:${topic}`, "-inf", String(now - LIFE * 1000));
      return 1;
    }),
  );
  for (const client of clients) client.disconnect();
  return result;
}

async function drain({ topic, page }: Extract<ServerJob, { kind: "drain" }>): Promise<RawResult> {
  const redis = connect();
  const key = `mqtt:msg:${topic}`;
  let messages = 0;
  const begin = performance.now();
  const read = (): Promise<string[]> => redis.zrange(key, "0", String(page - 1));
  for (let found = await read(); found.length > 0; found = await read()) {
    await run(
      redis,
      found.map((id): Step => ["HGETALL", `mqtt:msg:${id}`]),
    );
    await run(redis, [
      ["DEL", ...found.map((id) => `mqtt:msg:${id}`)],
      ["ZREM", key, ...found],
    ]);
    messages += found.length;
  }
  const seconds = (performance.now() - begin) / 1000;
  redis.disconnect();
  return { messages, seconds, p50: 0, p99: 0 };
}

async function run(redis: Redis, commands: readonly Step[]): Promise<void> {
  const pipeline = new Pipeline(redis);
  for (const [name, ...args] of commands) pipeline.sendCommand(new Command(name, args, { replyEncoding: null }));
  const outcomes = await pipeline.exec();
  for (const [error] of outcomes ?? []) if (error !== null) throw error;
}

function perform(): Promise<RawResult> {
  if (job.kind === "save") return save(job);
  return job.kind === "drain" ? drain(job) : oneByOne(job);
}

parentPort?.postMessage(await perform());
