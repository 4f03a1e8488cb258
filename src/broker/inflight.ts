// The QoS 1 and 2 messages that were sent to a client and are not acknowledged: its window.
//
// An entry lives from the first PUBLISH until PUBACK, PUBCOMP, or a PUBREC that refuses it, across connections. After
// the client has come back, its entries are sent again in the order of their first sending [MQTT-4.4.0-1]; until then
// they do not count against the new connection's Receive Maximum.

import { Fifo } from "../mqtt/fifo.ts";
import type { Delivery } from "./delivery.ts";
import type { Metrics } from "./metrics.ts";

const MAX_PACKET_ID = 65_535;
/** What idle sessions have in common; never changed. */
const NO_ENTRIES = new Map<number, InflightEntry>();
const NOTHING_TO_RESEND = new Fifo<InflightEntry>();

export interface InflightEntry {
  readonly packetId: number;
  readonly delivery: Delivery;
  /** `released`: PUBREC has come, PUBREL was sent. */
  state: "published" | "released";
  /** Sent on the connection that the client has now. */
  active: boolean;
}

export class Inflight {
  readonly #metrics: Pick<Metrics, "inflight">;
  #entries = NO_ENTRIES;
  #toResend = NOTHING_TO_RESEND;
  #active = 0;
  #lastPacketId = 0;

  /** `metrics` counts the entries of all sessions. */
  constructor(metrics: Pick<Metrics, "inflight">) {
    this.#metrics = metrics;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many count against the Receive Maximum of the connection. */
  get active(): number {
    return this.#active;
  }

  /** Takes a new message on and gives it a Packet Identifier [MQTT-2.2.1-3]. The caller keeps the window. */
  add(delivery: Delivery): InflightEntry {
    let packetId = this.#lastPacketId;
    do packetId = packetId === MAX_PACKET_ID ? 1 : packetId + 1;
    while (this.#entries.has(packetId));
    this.#lastPacketId = packetId;
    const entry: InflightEntry = { packetId, delivery, state: "published", active: true };
    this.#put(entry);
    this.#active += 1;
    this.#metrics.inflight += 1;
    return entry;
  }

  /** Takes on what was in flight before the broker was started. */
  restore(packetId: number, delivery: Delivery, state: InflightEntry["state"]): void {
    this.#put({ packetId, delivery, state, active: false });
    this.#lastPacketId = packetId;
    this.#metrics.inflight += 1;
  }

  get(packetId: number): InflightEntry | undefined {
    return this.#entries.get(packetId);
  }

  remove(entry: InflightEntry): void {
    if (!this.#entries.delete(entry.packetId)) return;
    this.#metrics.inflight -= 1;
    if (entry.active) this.#active -= 1;
  }

  /** The session has ended. */
  clear(): void {
    this.#metrics.inflight -= this.#entries.size;
    this.#entries = NO_ENTRIES;
    this.#toResend = NOTHING_TO_RESEND;
  }

  #put(entry: InflightEntry): void {
    if (this.#entries === NO_ENTRIES) this.#entries = new Map();
    this.#entries.set(entry.packetId, entry);
  }

  /** A new connection begins: every entry is to be sent again. */
  beginResend(): void {
    this.#active = 0;
    this.#toResend = this.#entries.size === 0 ? NOTHING_TO_RESEND : new Fifo();
    for (const entry of this.#entries.values()) {
      entry.active = false;
      this.#toResend.push(entry);
    }
  }

  /** The next entry to send again; undefined: none is left. */
  peekResend(): InflightEntry | undefined {
    for (;;) {
      const entry = this.#toResend.peek();
      if (entry === undefined || this.#entries.get(entry.packetId) === entry) return entry;
      this.#toResend.shift();
    }
  }

  /** The entry that `peekResend` gave is sent. */
  resent(entry: InflightEntry): void {
    this.#toResend.shift();
    entry.active = true;
    this.#active += 1;
  }

  /** In the order of their first sending. */
  [Symbol.iterator](): IterableIterator<InflightEntry> {
    return this.#entries.values();
  }
}
