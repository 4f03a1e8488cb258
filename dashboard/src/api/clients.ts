// Clients and their sessions: listed, looked at, subscribed and unsubscribed, kicked.

import { ask } from "./request.ts";

export interface Client {
  readonly clientid: string;
  readonly connected: boolean;
  readonly username?: string | null;
  readonly ip_address?: string;
  readonly port?: number;
  readonly proto_name?: string;
  readonly proto_ver?: number;
  readonly keepalive?: number;
  readonly clean_start?: boolean;
  readonly expiry_interval: number;
  readonly created_at: string;
  readonly connected_at?: string;
  readonly disconnected_at?: string;
  readonly subscriptions_cnt: number;
  readonly subscriptions_max: number;
  readonly inflight_cnt: number;
  readonly inflight_max: number;
  readonly mqueue_len: number;
  readonly mqueue_max: number;
  readonly mqueue_dropped: number;
  readonly awaiting_rel_cnt: number;
  readonly recv_msg?: number;
  readonly send_msg?: number;
}

export type QoS = 0 | 1 | 2;

export interface SubscriptionOptions {
  readonly topic: string;
  readonly qos: QoS;
  /** No Local. */
  readonly nl: 0 | 1;
  /** Retain As Published. */
  readonly rap: 0 | 1;
  /** Retain Handling. */
  readonly rh: QoS;
  /** Told of stored subscriptions only. */
  readonly subscription_identifier?: number;
}

export interface NumberedPage<T> {
  readonly data: readonly T[];
  readonly meta: { readonly page: number; readonly limit: number; readonly count: number; readonly hasnext: boolean };
}

export interface ClientFilter {
  readonly clientid?: string;
  /** A part of the client id. */
  readonly like_clientid?: string;
  readonly conn_state?: "connected" | "disconnected";
}

/** Rows of one page. */
const CLIENTS = 20;
const SUBSCRIPTIONS = 50;

export function query(given: Readonly<Record<string, string | number | undefined>>): string {
  const known = Object.entries(given).filter(([, value]) => value !== undefined && value !== "");
  return String(new URLSearchParams(known.map(([name, value]) => [name, String(value)])));
}

/** `page`: from 1. */
export const listClients = (filter: ClientFilter, page: number, signal?: AbortSignal): Promise<NumberedPage<Client>> =>
  ask({ path: `/clients?${query({ ...filter, page, limit: CLIENTS })}`, ...(signal && { signal }) });

/** Undefined: it has no session. By the list, since no path can name a client id such as `..`. */
export async function findClient(clientid: string, signal?: AbortSignal): Promise<Client | undefined> {
  const path = `/clients?${query({ clientid, limit: 1 })}`;
  const { data } = await ask<NumberedPage<Client>>({ path, ...(signal && { signal }) });
  return data[0];
}

/** `page`: from 1. */
export const listSubscriptions = (
  clientid: string,
  page: number,
  signal?: AbortSignal,
): Promise<NumberedPage<SubscriptionOptions>> =>
  ask({ path: `/subscriptions?${query({ clientid, page, limit: SUBSCRIPTIONS })}`, ...(signal && { signal }) });

/** What is done with a client, or told of it. */
export const path = (clientid: string, action: string): string => `/clients/${encodeURIComponent(clientid)}/${action}`;

export const subscribe = (clientid: string, json: SubscriptionOptions): Promise<void> =>
  ask({ method: "POST", path: path(clientid, "subscribe"), json });
export const unsubscribe = (clientid: string, topic: string): Promise<void> =>
  ask({ method: "POST", path: path(clientid, "unsubscribe"), json: { topic } });
/** Also where it is not there any more. */
export const kick = (clientid: string): Promise<void> =>
  ask({ method: "POST", path: "/clients/kickout/bulk", json: [clientid] });
