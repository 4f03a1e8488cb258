// The Topic Aliases of one direction of a connection (MQTT 5, 3.3.2.3.4), bounded by the bytes of their topics.

export class InboundAliases {
  readonly #maxBytes: number;
  readonly #topics = new Map<number, string>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(alias: number): string | undefined {
    return this.#topics.get(alias);
  }

  /** Returns false when there is no room for so long a topic. */
  set(alias: number, topic: string): boolean {
    const before = this.#topics.get(alias);
    if (before === topic) return true;
    const bytes = this.#bytes + Buffer.byteLength(topic) - (before === undefined ? 0 : Buffer.byteLength(before));
    if (bytes > this.#maxBytes) return false;
    this.#topics.set(alias, topic);
    this.#bytes = bytes;
    return true;
  }
}

export class OutboundAliases {
  readonly #max: number;
  readonly #maxBytes: number;
  /** By topic; the first topics that are sent get one, for as long as the connection lasts. */
  readonly #aliases = new Map<string, number>();
  #bytes = 0;

  /** `max`: how many may be used. */
  constructor(max: number, maxBytes: number) {
    this.#max = max;
    this.#maxBytes = maxBytes;
  }

  get(topic: string): number | undefined {
    return this.#aliases.get(topic);
  }

  /** Gives the topic a new alias; undefined: none is left, or there is no room for so long a topic. */
  add(topic: string): number | undefined {
    if (this.#aliases.size >= this.#max) return undefined;
    const bytes = this.#bytes + Buffer.byteLength(topic);
    if (bytes > this.#maxBytes) return undefined;
    this.#bytes = bytes;
    const alias = this.#aliases.size + 1;
    this.#aliases.set(topic, alias);
    return alias;
  }
}
