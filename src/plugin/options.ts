// What the plugin can be told; the defaults stand in config.ts.

export interface PluginOptions {
  /** Topic Filters of the messages to store. Empty: none is; subscriptions are, and what was stored before is delivered. */
  readonly topics: readonly string[];
  /** `one_to_one`: the first acknowledgement removes a message. */
  readonly delivery: "one_to_one";
  /** What a publisher gets when the store fails: a refusal, or an acknowledgement for a message that is not stored. */
  readonly onStoreError: "reject" | "ignore";
  /** What a client without reason codes gets for a message that can never be stored. */
  readonly onUnstorable: "close" | "acknowledge";
  /** What becomes of a stored message once it was replayed at QoS 0. */
  readonly qos0Replay: "remove" | "keep";
  /** Stored subscriptions of clients not seen for this many seconds are removed; 0: never. */
  readonly subscriptionTtl: number;
  /** Messages older than this many seconds are not kept by the store; 0 or absent: however old they are. */
  readonly messageTtl?: number;
  /** How often expired messages and subscriptions are looked for, in ms. Default 5000. */
  readonly sweepInterval?: number;
  /** Bounds of what is kept in memory; the defaults suit a broker of some thousand clients. */
  readonly limits?: Partial<PluginLimits>;
}

export interface PluginLimits {
  /** Messages in one page of a replay. */
  readonly pageMessages: number;
  /** Payload bytes that all replays together may have read ahead. */
  readonly readAheadBytes: number;
  /** Pages being read at the same time. */
  readonly concurrentReads: number;
  /** Messages owed to one session that is catching up. */
  readonly owedPerSession: number;
  /** Messages owed to all sessions that are catching up. */
  readonly owed: number;
  /** Acknowledged messages that wait for their removal, or that a page already read may still name. */
  readonly removals: number;
  /** Subscriptions waiting to be written while the store is away. */
  readonly pendingSubscriptions: number;
}

export const defaultLimits: PluginLimits = {
  pageMessages: 1024,
  readAheadBytes: 64 * 1024 * 1024,
  concurrentReads: 16,
  owedPerSession: 10_000,
  owed: 100_000,
  removals: 100_000,
  pendingSubscriptions: 10_000,
};
