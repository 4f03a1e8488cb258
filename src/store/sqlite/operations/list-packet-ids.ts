// Lists the stored QoS 2 messages that were saved with their Packet Identifier.

import type { PacketIdOfMessage } from "../../store.ts";
import type { Database } from "../database.ts";
import type { ListPacketIds } from "../protocol.ts";

const SELECT_PACKET_IDS = `
SELECT msgid, sender, packet_id FROM mqtt_msg INDEXED BY mqtt_msg_packet_id
WHERE packet_id IS NOT NULL AND msgid > ? ORDER BY msgid LIMIT ?`;

export function listPacketIds(database: Database, { after, limit }: ListPacketIds): PacketIdOfMessage[] {
  return database
    .rows<[string, string | null, number]>(SELECT_PACKET_IDS, after, limit)
    .map(([id, sender, packetId]) => ({ id, clientId: sender ?? "", packetId }));
}
