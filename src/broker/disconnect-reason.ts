// Why a connection ended, in EMQX's words.

import { ReasonCode } from "../mqtt/reason-code.ts";

/** The client said goodbye: its will is not published. */
export const NORMAL = "normal";
/** The connection broke, or the client closed it without a word. */
export const TCP_CLOSED = "tcp_closed";
/** A publish could not be stored, and the client's protocol has no code for that. */
export const PUBLISH_REFUSED = "publish_refused";

/** What the client would have been told could not be saved in time. */
export const NOT_SAVED = "not_saved";

/** The names of the standard as EMQX writes them. Where several mean 0, the one that EMQX uses for DISCONNECT is last. */
const names = new Map<number, string>([
  ...Object.entries(ReasonCode).map(([name, code]) => [code, snakeCase(name)] as const),
  [ReasonCode.NormalDisconnection, NORMAL],
  [ReasonCode.KeepAliveTimeout, "keepalive_timeout"],
  [ReasonCode.SessionTakenOver, "takenover"],
  [ReasonCode.AdministrativeAction, "kicked"],
]);

/** The reason for the Reason Code of a DISCONNECT, sent or received. */
export function disconnectReason(reasonCode: number): string {
  return names.get(reasonCode) ?? "unspecified_error";
}

function snakeCase(name: string): string {
  return name
    .replaceAll("QoS", "Qos")
    .replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`)
    .toLowerCase();
}
