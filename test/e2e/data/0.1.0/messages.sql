PRAGMA auto_vacuum = 2;
BEGIN;
CREATE TABLE mqtt_msg (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  msgid      TEXT NOT NULL,               -- 32 upper-case hexadecimal digits
  topic      TEXT NOT NULL,
  sender     TEXT,                        -- client id of the publisher
  qos        INTEGER NOT NULL DEFAULT 0,
  retain     INTEGER,
  payload    BLOB,
  arrived    TEXT NOT NULL,               -- UTC, YYYY-MM-DD HH:MM:SS.mmm
  properties TEXT,                        -- MQTT 5 properties as JSON
  expires_at INTEGER                      -- ms since the epoch
, packet_id INTEGER);
CREATE UNIQUE INDEX mqtt_msg_msgid ON mqtt_msg (msgid);
CREATE INDEX mqtt_msg_topic ON mqtt_msg (topic);
CREATE INDEX mqtt_msg_expires_at ON mqtt_msg (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE mqtt_sub (
  clientid                TEXT NOT NULL,
  topic                   TEXT NOT NULL,  -- the topic filter
  qos                     INTEGER NOT NULL DEFAULT 0,
  no_local                INTEGER,
  retain_as_published     INTEGER,
  retain_handling         INTEGER,
  subscription_identifier INTEGER,
  last_seen               INTEGER,        -- ms since the epoch
  PRIMARY KEY (clientid, topic)
) WITHOUT ROWID;
CREATE INDEX mqtt_sub_last_seen ON mqtt_sub (last_seen);
CREATE TABLE mqtt_topic (                 -- kept with mqtt_msg, in the same transactions
  topic    TEXT PRIMARY KEY,
  messages INTEGER NOT NULL,
  bytes    INTEGER NOT NULL               -- of payload
) WITHOUT ROWID;
CREATE INDEX mqtt_msg_packet_id ON mqtt_msg (msgid) WHERE packet_id IS NOT NULL;
INSERT INTO mqtt_msg (id, msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at, packet_id) VALUES (1, '000661405D72161852864295B2C40005', 'stored/q/all', 'other', 1, 0, X'616C6C2070726F70657274696573', '2026-11-27 11:28:53.822', '{"payload_format_indicator":1,"content_type":"text/plain","response_topic":"answers","correlation_data":"AAH/","user_properties":[["a","1"],["b","it''s"],["a","3"]]}', 6090746228822, NULL);
INSERT INTO mqtt_msg (id, msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at, packet_id) VALUES (2, '000661405D72643852864295B2C40009', 'stored/s/1', 'other', 1, 0, X'666F7220612073746F72656420737562736372697074696F6E', '2026-11-27 11:28:53.843', NULL, NULL, NULL);
INSERT INTO mqtt_msg (id, msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at, packet_id) VALUES (3, '000661405D72876052864295B2C4000A', 'stored/r', 'other', 1, 1, X'72657461696E656420616E642073746F726564', '2026-11-27 11:28:53.852', NULL, NULL, NULL);
INSERT INTO mqtt_msg (id, msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at, packet_id) VALUES (4, '000661405D72B25852864295B2C4000C', 'stored/bytes', 'other', 1, 0, X'00C3A90A27', '2026-11-27 11:28:53.863', NULL, NULL, NULL);
INSERT INTO mqtt_msg (id, msgid, topic, sender, qos, retain, payload, arrived, properties, expires_at, packet_id) VALUES (5, '000661405D72E52152864295B2C40010', 'stored/q/two', 'publisher', 2, 0, X'6E6F742072656C6561736564', '2026-11-27 11:28:53.876', NULL, NULL, 9);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence (name, seq) VALUES ('mqtt_msg', 5);
INSERT INTO mqtt_sub (clientid, topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier, last_seen) VALUES ('comes-back', 'stored/s/+', 1, 0, 0, 0, NULL, 1795778933807);
INSERT INTO mqtt_sub (clientid, topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier, last_seen) VALUES ('in-flight', 'plain/flight', 2, 0, 0, 0, NULL, 1795778933901);
INSERT INTO mqtt_sub (clientid, topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier, last_seen) VALUES ('queue', 'plain/q', 1, 0, 1, 0, 8, 1795778933792);
INSERT INTO mqtt_sub (clientid, topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier, last_seen) VALUES ('queue', 'stored/q/#', 2, 0, 0, 0, 7, 1795778933760);
INSERT INTO mqtt_sub (clientid, topic, qos, no_local, retain_as_published, retain_handling, subscription_identifier, last_seen) VALUES ('v4', 'plain/v4', 1, 0, 0, 0, NULL, 1795778933935);
INSERT INTO mqtt_topic (topic, messages, bytes) VALUES ('stored/bytes', 1, 5);
INSERT INTO mqtt_topic (topic, messages, bytes) VALUES ('stored/q/all', 1, 14);
INSERT INTO mqtt_topic (topic, messages, bytes) VALUES ('stored/q/two', 1, 12);
INSERT INTO mqtt_topic (topic, messages, bytes) VALUES ('stored/r', 1, 19);
INSERT INTO mqtt_topic (topic, messages, bytes) VALUES ('stored/s/1', 1, 25);
COMMIT;
PRAGMA user_version = 2;
