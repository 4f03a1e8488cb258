// What a load process can be asked to do, and what it answers.

import type { Address } from "./connection.ts";
import type { Disorder } from "./receiver.ts";

export interface PublishersOptions {
  readonly address: Address;
  readonly publishers: number;
  /** Messages of each publisher under way at once. */
  readonly window: number;
  /** One topic for all, or the beginning of the topics when each has its own. */
  readonly topic: string;
  readonly topicPerPublisher: boolean;
  readonly payloadBytes: number;
}

/** Publishes for a time, and measures after the warm-up; both in ms. */
export interface PublishForJob extends PublishersOptions {
  readonly kind: "publishFor";
  readonly warmUp: number;
  readonly duration: number;
}

/** Publishes a number of messages, in equal parts. */
export interface PublishCountJob extends PublishersOptions {
  readonly kind: "publishCount";
  readonly messages: number;
}

/** Publishes and receives; a message is under way until both its PUBACK and the message itself are there. */
export interface LiveJob extends PublishersOptions {
  readonly kind: "live";
  /** One receiver for each. */
  readonly topicFilters: readonly string[];
  readonly warmUp: number;
  readonly duration: number;
}

/** Receives a number of messages. */
export interface ReceiveJob {
  readonly kind: "receive";
  readonly address: Address;
  readonly clientId: string;
  readonly clean: boolean;
  /** Absent: the session has its subscription already, and the clock starts with CONNECT. */
  readonly topicFilter?: string;
  /** 0: subscribes and goes away. */
  readonly messages: number;
}

export type Job = PublishForJob | PublishCountJob | LiveJob | ReceiveJob;

export interface JobResult {
  /** Acknowledged by the broker, or received. */
  readonly messages: number;
  readonly seconds: number;
  /** In ms; 0 where no latency is measured. */
  readonly p50: number;
  readonly p99: number;
  readonly disorder: Disorder;
  /** Processor time of the load process, in seconds. */
  readonly cpuSeconds: number;
}

export type JobReply = { readonly result: JobResult } | { readonly error: string };
