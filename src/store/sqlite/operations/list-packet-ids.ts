// Lists the stored QoS 2 messages that were saved with their Packet Identifier, expired ones among them.

import type { Database } from "../database.ts";
import { PAGE_COLUMNS, PageBuilder, type PageRow } from "../page-builder.ts";
import type { ListPacketIds, PacketIdColumns } from "../protocol.ts";

/** Bytes of payload at which a page ends. */
const MAX_BYTES = 8 * 1024 * 1024;

const SELECT_PACKET_IDS = `
SELECT ${PAGE_COLUMNS}, 0, packet_id FROM mqtt_msg INDEXED BY mqtt_msg_packet_id
WHERE packet_id IS NOT NULL AND msgid > ?3 ORDER BY msgid LIMIT ?4`;

/** A time before every expiry. */
const BEFORE_ALL = 0;
const OLDEST = "";

export function listPacketIds(database: Database, { after, limit }: ListPacketIds): PacketIdColumns {
  const request = {
    kind: "readPage",
    topicFilter: "#",
    after: 0,
    maxMessages: limit,
    maxBytes: MAX_BYTES,
    now: 0,
  } as const;
  const page = new PageBuilder(request, OLDEST);
  const packetIds: number[] = [];
  const rows = database.statement(SELECT_PACKET_IDS).iterate(BEFORE_ALL, OLDEST, after, limit);
  for (const row of rows as Iterable<unknown>) {
    page.add(row as PageRow);
    packetIds.push((row as unknown[]).at(-1) as number);
    if (page.full) break;
  }
  return { ...page.build(undefined), packetIds };
}
