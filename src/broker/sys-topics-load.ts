// Moving averages of what happens in a minute, as Mosquitto tells them in `$SYS/broker/load/…`.
//
// Each interval counts with a weight that fades by the exponential of its age, over 1, 5 or 15 minutes.

import type { Metrics } from "./metrics.ts";

export const LOAD_MINUTES = [1, 5, 15] as const;

/** What is averaged, by the part of the topic that names it. */
export const LOADS: Readonly<Record<string, (metrics: Metrics) => number>> = {
  "messages/received": ({ packetsReceived }) => packetsReceived,
  "messages/sent": ({ packetsSent }) => packetsSent,
  "publish/dropped": droppedByLimits,
  "publish/received": ({ messagesReceived: [qos0, qos1, qos2] }) => qos0 + qos1 + qos2,
  "publish/sent": ({ messagesSent: [qos0, qos1, qos2] }) => qos0 + qos1 + qos2,
  "bytes/received": ({ bytesReceived }) => bytesReceived,
  "bytes/sent": ({ bytesSent }) => bytesSent,
  sockets: ({ socketsAccepted }) => socketsAccepted,
  connections: ({ clientsConnected, connectsRefused }) => clientsConnected + connectsRefused,
};

/** Messages that a client did not get because of the limits on what waits for it. */
export function droppedByLimits({ dropped }: Metrics): number {
  return dropped.queueFull + dropped.slowReader;
}

export class LoadAverages {
  readonly #last = new Map<string, number>();
  /** By name and minutes. */
  readonly #averages = new Map<string, number>();

  /** Takes in what has happened in so many seconds. */
  update(metrics: Metrics, seconds: number): void {
    if (seconds <= 0) return;
    for (const [name, read] of Object.entries(LOADS)) {
      const value = read(metrics);
      const perMinute = ((value - (this.#last.get(name) ?? 0)) * 60) / seconds;
      this.#last.set(name, value);
      for (const minutes of LOAD_MINUTES) {
        const weight = Math.exp(-seconds / (minutes * 60));
        const before = this.get(name, minutes);
        this.#averages.set(`${name}/${minutes}`, perMinute + weight * (before - perMinute));
      }
    }
  }

  /** How often in a minute. */
  get(name: string, minutes: number): number {
    return this.#averages.get(`${name}/${minutes}`) ?? 0;
  }
}
