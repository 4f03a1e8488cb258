// Clients that do nothing: connections that stay open, and sessions whose clients have gone. All speak MQTT 5.

import { type Address, Connection } from "./connection.ts";
import type { ConnectIdleJob, JobResult, LeaveSessionsJob } from "./jobs.ts";
import { Latencies } from "./latencies.ts";
import { connectPacket5, SUBACK, subscribePacket5 } from "./packets.ts";
import { Stopwatch } from "./stopwatch.ts";

/** Clients that connect at the same time. */
const AT_ONCE = 100;
/** In seconds; no client is idle for so long here. */
const KEEP_ALIVE = 600;
/** Of the sessions that are left behind, in seconds. */
const SESSION_EXPIRY = 3600;
/** The answers to CONNECT and SUBSCRIBE are short; in bytes. */
const READ_BYTES = 256;

export class IdleClients {
  #connections: Connection[] = [];
  #error: Error | undefined;

  /** Adds to those that are connected already. */
  async connect({ address, clients }: ConnectIdleJob): Promise<JobResult> {
    const stopwatch = new Stopwatch(() => this.#connections.length);
    const failed = (error: Error): void => {
      this.#error ??= error;
    };
    await inParallel(clients, async () => {
      const number = this.#connections.length;
      const connection = idleConnection({ address, clientId: `bench-idle-${number}`, sessionExpiry: 0, failed });
      this.#connections.push(connection);
      await connection.open();
    });
    return stopwatch.read(new Latencies());
  }

  async disconnect(): Promise<JobResult> {
    const connections = this.#connections;
    const stopwatch = new Stopwatch(() => connections.length - this.#connections.length);
    const error = this.#error;
    this.#connections = [];
    this.#error = undefined;
    await inParallel(connections.length, async (number) => connections[number]?.close());
    if (error !== undefined) throw error;
    return stopwatch.read(new Latencies());
  }
}

/** The sessions are there when it resolves; the broker may still be about to notice that the last clients have gone. */
export async function leaveSessions({ address, sessions, prefix }: LeaveSessionsJob): Promise<JobResult> {
  let left = 0;
  const stopwatch = new Stopwatch(() => left);
  await inParallel(sessions, async (number) => {
    const clientId = `${prefix}-${number}`;
    const { promise: subscribed, resolve, reject } = Promise.withResolvers<void>();
    const connection = idleConnection({
      address,
      clientId,
      sessionExpiry: SESSION_EXPIRY,
      failed: reject,
      frame: (firstByte, buffer, _, end) => {
        const reasonCode = buffer[end - 1] as number;
        if (firstByte === SUBACK && reasonCode < 0x80) resolve();
        else reject(new Error(`${clientId}: the broker refused SUBSCRIBE: packet ${firstByte}, ${reasonCode}`));
      },
    });
    await connection.open();
    connection.write(subscribePacket5(`${prefix}/${number}`));
    await subscribed;
    await connection.close();
    left += 1;
  });
  return stopwatch.read(new Latencies());
}

interface IdleOptions {
  readonly address: Address;
  readonly clientId: string;
  readonly sessionExpiry: number;
  readonly failed: (error: Error) => void;
  readonly frame?: ConstructorParameters<typeof Connection>[0]["frame"];
}

function idleConnection({ address, clientId, sessionExpiry, failed, frame }: IdleOptions): Connection {
  return new Connection({
    address,
    clientId,
    connectPacket: connectPacket5(clientId, sessionExpiry, KEEP_ALIVE),
    readBytes: READ_BYTES,
    failed,
    frame:
      frame ??
      ((firstByte) => {
        throw new Error(`${clientId}: an unexpected packet ${firstByte}`);
      }),
    readDone: () => {},
  });
}

/** Does it for 0 to `count` - 1, up to `AT_ONCE` at the same time. */
async function inParallel(count: number, each: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await each(next++);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, work));
}
