// The messages of a client's session: what waits in its queue, and what is in flight to it.

import { path, type QoS, query } from "./clients.ts";
import type { CursorPage, Message } from "./offline-messages.ts";
import { ask } from "./request.ts";

/** What waits, or what was sent and is not acknowledged. */
export type MessageKind = "mqueue" | "inflight";

interface Part {
  readonly data: readonly {
    readonly msgid: string;
    readonly topic: string;
    readonly qos: QoS;
    readonly publish_at: number;
    readonly from_clientid: string;
    /** In base64, where it was asked for. */
    readonly payload?: string;
  }[];
  /** Where the answer ends, also where nothing follows. */
  readonly meta: { readonly position: string };
}

/** Of a page. */
const LIMIT = 20;
/** A page ends before more payload than that, unless it is of one message. */
const PAYLOAD_BYTES = 256 * 1024;

/** With payloads: a message may have left the session before it is looked at. */
export async function listSessionMessages(
  clientid: string,
  kind: MessageKind,
  position: string | undefined,
  signal: AbortSignal,
): Promise<CursorPage<Message>> {
  const part = (given: Parameters<typeof query>[0]): Promise<Part> =>
    ask({ path: `${path(clientid, `${kind}_messages`)}?${query(given)}`, signal });
  const { data, meta } = await part({ position, limit: LIMIT, max_payload_bytes: PAYLOAD_BYTES });
  const isLast =
    data.length === 0 || (await part({ position: meta.position, limit: 1, payload: "none" })).data.length === 0;
  return {
    data: data.map(({ payload: text = "", ...message }) => {
      const payload = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      return { ...message, payload, payload_size: payload.length };
    }),
    meta: isLast ? {} : { position: meta.position },
  };
}
