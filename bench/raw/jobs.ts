// What the raw store can be asked to do: the work of the database without MQTT.

interface RawBase {
  /** The database file; made when it is missing. */
  readonly path: string;
}

/** Saves messages for a time, and counts after the warm-up; both in ms. */
export interface RawSave extends RawBase {
  readonly kind: "save";
  readonly topics: readonly string[];
  readonly payloadBytes: number;
  /** Messages in one transaction. */
  readonly batch: number;
  readonly warmUp: number;
  readonly duration: number;
  /** Removes the messages of a transaction in the next one. */
  readonly remove: boolean;
}

/** Reads the messages of a topic in pages, and removes them. */
export interface RawDrain extends RawBase {
  readonly kind: "drain";
  readonly topic: string;
  readonly page: number;
  /** Messages removed in one transaction. */
  readonly batch: number;
}

export type RawJob = RawSave | RawDrain;

export interface RawResult {
  readonly messages: number;
  readonly seconds: number;
  /** Of a transaction, in ms; 0 where it is not measured. */
  readonly p50: number;
  readonly p99: number;
}
