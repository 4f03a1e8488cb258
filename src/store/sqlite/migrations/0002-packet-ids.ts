// Migration 2: the Packet Identifier with which a QoS 2 message came, so that both are committed together.

export const PACKET_IDS = `
ALTER TABLE mqtt_msg ADD COLUMN packet_id INTEGER;  -- of its PUBLISH, where the publisher's session outlives the broker
CREATE INDEX mqtt_msg_packet_id ON mqtt_msg (msgid) WHERE packet_id IS NOT NULL;
`;
