// Publishes through the link to an engine, as processes of EMQX's clients do: each waits for its answer before its next message.

import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { NodeOpcode, publishFrame } from "../../src/emqx/node-frames.ts";
import { MessageIdGenerator } from "../../src/mqtt/message-id.ts";
import { openLink, type PeerConnection } from "../../test/emqx/link-peer.ts";
import type { JobResult, LinkPublishJob } from "./jobs.ts";
import { Latencies } from "./latencies.ts";
import { Stopwatch } from "./stopwatch.ts";

const CONNECTIONS = 4;
const HEARTBEAT = 5000;

export async function linkPublish(job: LinkPublishJob): Promise<JobResult> {
  const cleanups: (() => void | Promise<void>)[] = [];
  const secret = Buffer.from(job.secret);
  const peers = await openLink(
    { after: (cleanup) => cleanups.push(cleanup) },
    { port: job.address.port, secret },
    CONNECTIONS,
  );
  try {
    await configure(peers[0], job.config);
    return await measure(peers, job);
  } finally {
    for (const cleanup of cleanups) await cleanup();
  }
}

function configure(peer: PeerConnection, config: unknown): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  peer.onFrame = (frame) => {
    if (frame.opcode === EngineOpcode.Settings) resolve();
    if (frame.opcode === EngineOpcode.Configured && frame.problem !== undefined) reject(new Error(frame.problem));
  };
  peer.send({ opcode: NodeOpcode.Configure, request: 0, json: Buffer.from(JSON.stringify(config)) });
  return promise;
}

async function measure(peers: readonly PeerConnection[], job: LinkPublishJob): Promise<JobResult> {
  const { publishers, topic, payloadBytes, warmUp, duration } = job;
  const ids = new MessageIdGenerator();
  const payload = Buffer.alloc(payloadBytes, "x");
  const latencies = new Latencies();
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const begun = new Float64Array(publishers);
  const handled = peers.map(() => 0);
  let answered = 0;
  let isOver = false;
  // The number of the publisher is the number of its request: it has one at a time.
  const publish = (publisher: number): void => {
    const message = {
      id: ids.next(),
      from: `publisher ${publisher}`,
      topic: `${topic}/${publisher}`,
      qos: 1,
      retain: false,
      payload,
      timestamp: Date.now(),
    } as const;
    begun[publisher] = performance.now();
    peers[publisher % peers.length]?.send(publishFrame(publisher, message));
  };
  for (const [index, peer] of peers.entries()) {
    void peer.closed.then(() => reject(new Error("the engine has closed the link")));
    peer.onFrame = (frame) => {
      if (frame.opcode !== EngineOpcode.Answers) return;
      for (const { request, result } of frame.answers) {
        if (result !== "stored") reject(new Error(`a message is not stored: ${result}`));
        handled[index] = (handled[index] ?? 0) + 1;
        answered += 1;
        latencies.record(performance.now() - (begun[request] ?? 0));
        if (!isOver) publish(request);
      }
    };
  }
  const heartbeat = setInterval(() => {
    for (const [index, peer] of peers.entries()) peer.send({ opcode: NodeOpcode.Ping, answers: handled[index] ?? 0 });
  }, HEARTBEAT);
  const stopwatch = new Stopwatch(() => answered);
  try {
    for (let publisher = 0; publisher < publishers; publisher++) publish(publisher);
    await Promise.race([wait(warmUp), failed]);
    latencies.clear();
    stopwatch.start();
    await Promise.race([wait(duration), failed]);
    return stopwatch.read(latencies);
  } finally {
    isOver = true;
    clearInterval(heartbeat);
  }
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
