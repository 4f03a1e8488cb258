// What the broker remembers of the last fifteen minutes.

import { ask } from "./request.ts";

export interface Sample {
  /** In ms since the epoch. */
  readonly time_stamp: number;
  readonly connections: number;
  readonly live_connections: number;
  /** Messages per second since the sample before. */
  readonly received_msg_rate: number;
  readonly sent_msg_rate: number;
  readonly stored_msg_rate: number;
  readonly acknowledged_msg_rate: number;
  /** Publishes since the sample before that were refused, because a limit of the store was reached. */
  readonly limit_refused: number;
  /** Null: no plugin stores, or its store cannot tell. */
  readonly backlog_messages: number | null;
  readonly backlog_bytes: number | null;
  readonly oldest_publish_at: number | null;
}

export interface Health {
  readonly plugins: readonly {
    readonly name: string;
    readonly status: string;
    readonly health_status: { readonly status: "ok" | "error"; readonly message: string };
  }[];
}

/** The samples after that time, the oldest first. */
export function samplesAfter(time: number, signal: AbortSignal): Promise<Sample[]> {
  return ask({ path: `/monitor?after=${time}`, signal });
}

/** Also when something is wrong: the answer says what. */
export async function health(signal: AbortSignal): Promise<Health> {
  const response = await fetch("/api/v5/status?format=json", { signal });
  return response.json() as Promise<Health>;
}
