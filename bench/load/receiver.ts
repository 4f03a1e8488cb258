// One subscribing client: acknowledges each read at once, and checks that every message comes once and in order.

import { type Address, Connection } from "./connection.ts";
import { connectPacket, PUBACK, PUBLISH, readPublish, SUBACK, subscribePacket } from "./packets.ts";

export interface ReceiverOptions {
  readonly address: Address;
  readonly clientId: string;
  readonly clean: boolean;
  /** Called for each message that is no repetition. */
  readonly received?: (publisher: number) => void;
  /** Called when the acknowledgements of one read are sent. */
  readonly acknowledged: () => void;
  readonly failed: (error: Error) => void;
}

/** What came otherwise than it was published. */
export interface Disorder {
  /** Sequence numbers passed over. */
  missing: number;
  /** Sequence numbers not above the last one: a repetition, or a step back. */
  repeated: number;
}

export class Receiver {
  received = 0;
  readonly disorder: Disorder = { missing: 0, repeated: 0 };
  readonly #options: ReceiverOptions;
  readonly #connection: Connection;
  /** By publisher: the sequence number that comes next. */
  readonly #expected = new Map<number, number>();
  #toAcknowledge: number[] = [];
  #subscribed: (() => void) | undefined;

  constructor(options: ReceiverOptions) {
    const { address, clientId, clean, failed } = options;
    this.#options = options;
    this.#connection = new Connection({
      address,
      clientId,
      connectPacket: connectPacket(clientId, clean),
      failed,
      frame: (firstByte, buffer, start) => this.#frame(firstByte, buffer, start),
      readDone: () => this.#acknowledge(),
    });
  }

  async connect(): Promise<void> {
    await this.#connection.open();
  }

  /** Resolves with SUBACK. Messages may come before it. */
  subscribe(topicFilter: string): Promise<void> {
    return new Promise((resolve) => {
      this.#subscribed = resolve;
      this.#connection.write(subscribePacket(topicFilter));
    });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  #frame(firstByte: number, buffer: Buffer, start: number): void {
    if ((firstByte & 0xf0) === PUBLISH) {
      const { packetId, publisher, sequence } = readPublish(buffer, start);
      this.#toAcknowledge.push(packetId);
      if (this.#isNew(publisher, sequence)) this.#options.received?.(publisher);
    } else if (firstByte === SUBACK) {
      if (buffer[start + 2] === 0x80) throw new Error(`${this.#options.clientId}: the broker refused SUBSCRIBE`);
      this.#subscribed?.();
    } else {
      throw new Error(`${this.#options.clientId}: an unexpected packet ${firstByte}`);
    }
  }

  #isNew(publisher: number, sequence: number): boolean {
    const expected = this.#expected.get(publisher) ?? 0;
    if (sequence < expected) {
      this.disorder.repeated += 1;
      return false;
    }
    this.disorder.missing += sequence - expected;
    this.#expected.set(publisher, sequence + 1);
    return true;
  }

  #acknowledge(): void {
    const packetIds = this.#toAcknowledge;
    if (packetIds.length === 0) return;
    const bytes = Buffer.allocUnsafe(4 * packetIds.length);
    let at = 0;
    for (const packetId of packetIds) at = bytes.writeUInt32BE(((PUBACK << 24) | (2 << 16) | packetId) >>> 0, at);
    this.received += packetIds.length;
    this.#toAcknowledge = [];
    this.#connection.write(bytes);
    this.#options.acknowledged();
  }
}
