// The `$SYS/` topics that have a value: those of Mosquitto (mosquitto(8), "Broker Status") and of EMQX ("System Topic").
//
// docs/sys-topics.md lists them, and says which of the two brokers' topics are not here.

import { getHeapStatistics } from "node:v8";
import { version } from "../mqtt/version.ts";
import { EMQX_METRICS, EMQX_STATS, type EmqxMetric } from "./emqx-metrics.ts";
import type { Metrics } from "./metrics.ts";
import { droppedByLimits, LOAD_MINUTES, LOADS, type LoadAverages } from "./sys-topics-load.ts";

/** As EMQX names nodes. There is one only. */
export const NODE_NAME = "omp@127.0.0.1";
/** What stands before the topics of the node. */
export const NODE_TOPICS = `$SYS/brokers/${NODE_NAME}`;

/** What the values are made of. */
export interface SysFacts {
  readonly metrics: Metrics;
  readonly loads: LoadAverages;
  /** How long the broker has been running, in ms. */
  readonly uptime: number;
  /** Ms since the epoch. */
  readonly now: number;
  /** The largest heap that was seen, in bytes. */
  readonly highestHeap: number;
  /** The heap now, in bytes. */
  readonly heap: number;
}

export interface SysTopic {
  readonly topic: string;
  /** The payload. */
  read(facts: SysFacts): string;
}

/** Bytes of JavaScript objects. */
export function heapBytes(): number {
  return getHeapStatistics().used_heap_size;
}

const MOSQUITTO_COUNTS: Readonly<Record<string, (metrics: Metrics) => number>> = {
  "clients/total": ({ sessions }) => sessions,
  "clients/connected": ({ connections }) => connections,
  "clients/active": ({ connections }) => connections,
  "clients/disconnected": ({ sessions, connections }) => sessions - connections,
  "clients/inactive": ({ sessions, connections }) => sessions - connections,
  "clients/maximum": ({ highest }) => highest.connections,
  "clients/expired": ({ sessionsExpired }) => sessionsExpired,
  "connections/socket/count": ({ socketsAccepted }) => socketsAccepted,
  "messages/received": ({ packetsReceived }) => packetsReceived,
  "messages/sent": ({ packetsSent }) => packetsSent,
  "messages/stored": ({ retained, queued }) => retained + queued,
  "store/messages/count": ({ retained, queued }) => retained + queued,
  "store/messages/bytes": ({ retainedBytes, queuedBytes }) => retainedBytes + queuedBytes,
  "publish/messages/received": ({ messagesReceived: [qos0, qos1, qos2] }) => qos0 + qos1 + qos2,
  "publish/messages/sent": ({ messagesSent: [qos0, qos1, qos2] }) => qos0 + qos1 + qos2,
  "publish/messages/dropped": droppedByLimits,
  "publish/bytes/received": ({ publishBytesReceived }) => publishBytesReceived,
  "publish/bytes/sent": ({ publishBytesSent }) => publishBytesSent,
  "bytes/received": ({ bytesReceived }) => bytesReceived,
  "bytes/sent": ({ bytesSent }) => bytesSent,
  "subscriptions/count": ({ subscriptions }) => subscriptions,
  "shared_subscriptions/count": ({ sharedSubscriptions }) => sharedSubscriptions,
  "retained messages/count": ({ retained }) => retained,
};

const mosquitto: readonly SysTopic[] = [
  { topic: "$SYS/broker/version", read: () => `omp version ${version()}` },
  { topic: "$SYS/broker/uptime", read: ({ uptime }) => `${Math.floor(uptime / 1000)} seconds` },
  { topic: "$SYS/broker/heap/current", read: ({ heap }) => String(heap) },
  { topic: "$SYS/broker/heap/maximum", read: ({ highestHeap }) => String(highestHeap) },
  ...Object.entries(MOSQUITTO_COUNTS).map(([name, read]) => ({
    topic: `$SYS/broker/${name}`,
    read: ({ metrics }: SysFacts) => String(read(metrics)),
  })),
  ...Object.keys(LOADS).flatMap((name) =>
    LOAD_MINUTES.map((minutes) => ({
      topic: `$SYS/broker/load/${name}/${minutes}min`,
      read: ({ loads }: SysFacts) => loads.get(name, minutes).toFixed(2),
    })),
  ),
];

const emqx: readonly SysTopic[] = [
  { topic: "$SYS/brokers", read: () => NODE_NAME },
  { topic: `${NODE_TOPICS}/version`, read: () => version() },
  { topic: `${NODE_TOPICS}/sysdescr`, read: () => "MQTT broker with offline messages" },
  { topic: `${NODE_TOPICS}/uptime`, read: ({ uptime }) => String(Math.floor(uptime)) },
  { topic: `${NODE_TOPICS}/datetime`, read: ({ now }) => new Date(now).toISOString() },
  ...EMQX_STATS.map((stat) => emqxTopic("stats", stat)),
  ...EMQX_METRICS.map((metric) => emqxTopic("metrics", metric)),
];

function emqxTopic(kind: "stats" | "metrics", { name, read }: EmqxMetric): SysTopic {
  return {
    topic: `${NODE_TOPICS}/${kind}/${name.replaceAll(".", "/")}`,
    read: ({ metrics }) => String(read(metrics)),
  };
}

export const SYS_TOPICS: readonly SysTopic[] = [...mosquitto, ...emqx];
