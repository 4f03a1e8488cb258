// The server's own topics, `$SYS/…`: values that are brought up to date every so often, and events.
//
// A value goes out when it has changed, to those who are subscribed to it, and at once to whoever subscribes, as if it
// were retained. Everything goes out with QoS 0, past the hooks: no plugin stores it, no session keeps it for a client
// that is away, and it counts as nobody's retained message. While nobody subscribes to `$SYS/`, only the averages are kept up.

import type { Message } from "../mqtt/message.ts";
import type { MessageIdGenerator } from "../mqtt/message-id.ts";
import { SYS_PREFIX, topicMatches } from "../mqtt/topic.ts";
import type { Metrics } from "./metrics.ts";
import type { Retained } from "./retained.ts";
import type { Router } from "./router.ts";
import { LoadAverages } from "./sys-topics-load.ts";
import { heapBytes, SYS_TOPICS, type SysFacts } from "./sys-topics-values.ts";

interface SysTopicsContext {
  readonly options: { readonly sysInterval: number };
  readonly metrics: Metrics;
  readonly ids: MessageIdGenerator;
  readonly router: Router;
  /** Ms since the epoch. */
  now(): number;
}

export class SysTopics {
  readonly #context: SysTopicsContext;
  readonly #loads = new LoadAverages();
  /** What subscribers were told last, by topic; empty while there are none. */
  readonly #values = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  /** Of the monotonic clock, in ms. */
  #startedAt = performance.now();
  #updatedAt = this.#startedAt;
  #highestHeap = 0;

  constructor(context: SysTopicsContext) {
    this.#context = context;
  }

  /** Whether there are such topics at all. */
  get isOn(): boolean {
    return this.#context.options.sysInterval > 0;
  }

  start(): void {
    if (!this.isOn) return;
    this.#startedAt = performance.now();
    this.#updatedAt = this.#startedAt;
    this.#timer = setInterval(() => this.#update(), this.#context.options.sysInterval * 1000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The values that match a Topic Filter (without `$share`), as retained messages. */
  match(filter: string): Retained[] {
    if (!this.isOn || !filter.startsWith(SYS_PREFIX)) return [];
    if (this.#values.size === 0) this.#read(() => {});
    return [...this.#values]
      .filter(([topic]) => topicMatches(filter, topic))
      .map(([topic, value]) => ({ message: this.#messageOf(topic, value, true), stored: false, saved: undefined }));
  }

  /** Whether an event would go to anybody. */
  reaches(topic: string): boolean {
    return this.isOn && this.#context.metrics.sysSubscriptions > 0 && this.#context.router.reaches(topic);
  }

  /** Tells those who are subscribed now. */
  publish(topic: string, payload: string, retain = false): void {
    if (this.reaches(topic)) this.#context.router.route(this.#messageOf(topic, payload, retain), false);
  }

  #update(): void {
    const { metrics } = this.#context;
    const now = performance.now();
    this.#loads.update(metrics, (now - this.#updatedAt) / 1000);
    this.#updatedAt = now;
    this.#highestHeap = Math.max(this.#highestHeap, heapBytes());
    if (metrics.sysSubscriptions === 0) this.#values.clear();
    else if (this.#values.size === 0) this.#read(() => {});
    else this.#read((topic, value) => this.publish(topic, value, true));
  }

  /** Brings the values up to date; `changed` gets those that are not what they were. */
  #read(changed: (topic: string, value: string) => void): void {
    const { metrics, now } = this.#context;
    metrics.noteHighest();
    const heap = heapBytes();
    this.#highestHeap = Math.max(this.#highestHeap, heap);
    const uptime = performance.now() - this.#startedAt;
    const facts: SysFacts = { metrics, loads: this.#loads, uptime, now: now(), heap, highestHeap: this.#highestHeap };
    for (const { topic, read } of SYS_TOPICS) {
      const value = read(facts);
      if (this.#values.get(topic) === value) continue;
      this.#values.set(topic, value);
      changed(topic, value);
    }
  }

  #messageOf(topic: string, payload: string, retain: boolean): Message {
    const { ids, now } = this.#context;
    // No client has the empty Client Identifier.
    return { id: ids.next(), from: "", topic, qos: 0, retain, payload: Buffer.from(payload), timestamp: now() };
  }
}
