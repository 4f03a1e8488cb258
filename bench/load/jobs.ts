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

/** Connects MQTT 5 clients that say nothing more, and stay until `disconnectIdle`. */
export interface ConnectIdleJob {
  readonly kind: "connectIdle";
  readonly address: Address;
  readonly clients: number;
}

/** Lets all idle clients go; rejects when one of them had lost its connection. */
export interface DisconnectIdleJob {
  readonly kind: "disconnectIdle";
}

/** Leaves sessions behind: MQTT 5 clients that connect, subscribe to a topic of their own with QoS 1, and go. */
export interface LeaveSessionsJob {
  readonly kind: "leaveSessions";
  readonly address: Address;
  readonly sessions: number;
  /** The beginning of the Client Identifiers and the topics. */
  readonly prefix: string;
}

export type Job =
  | PublishForJob
  | PublishCountJob
  | LiveJob
  | ReceiveJob
  | ConnectIdleJob
  | DisconnectIdleJob
  | LeaveSessionsJob;

export interface JobResult {
  /** Acknowledged by the broker, or received; for the jobs without messages, clients. */
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
