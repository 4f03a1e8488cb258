PRAGMA auto_vacuum = 2;
BEGIN;
CREATE TABLE session (
  id                 INTEGER PRIMARY KEY,
  client_id          TEXT NOT NULL,
  client_id_assigned INTEGER NOT NULL,
  expiry_interval    INTEGER,          -- in seconds; NULL: never
  expires_at         INTEGER,          -- ms since the epoch; NULL: the client is connected, or never
  began_after        TEXT NOT NULL     -- message ids up to this one are of publishes of an earlier session
);
CREATE TABLE subscription (
  id                      INTEGER PRIMARY KEY,
  session                 INTEGER NOT NULL,
  topic_filter            TEXT NOT NULL,
  qos                     INTEGER NOT NULL,
  no_local                INTEGER NOT NULL,
  retain_as_published     INTEGER NOT NULL,
  retain_handling         INTEGER NOT NULL,
  subscription_identifier INTEGER
);
CREATE TABLE message (
  id         INTEGER PRIMARY KEY,
  msgid      TEXT NOT NULL,            -- 32 upper-case hexadecimal digits; empty for a will
  topic      TEXT NOT NULL,
  sender     TEXT NOT NULL,            -- client id of the publisher
  qos        INTEGER NOT NULL,
  retain     INTEGER NOT NULL,
  payload    BLOB NOT NULL,
  arrived_at INTEGER NOT NULL,         -- ms since the epoch
  properties TEXT,                     -- MQTT 5 properties as JSON
  expires_at INTEGER                   -- ms since the epoch
);
CREATE TABLE delivery (                -- what a session owes its client
  id                       INTEGER PRIMARY KEY,
  session                  INTEGER NOT NULL,
  subscription             INTEGER NOT NULL,
  message                  INTEGER NOT NULL,
  qos                      INTEGER NOT NULL,
  retain                   INTEGER NOT NULL,
  subscription_identifiers TEXT,       -- with commas between them
  stored                   INTEGER NOT NULL,  -- 1: the plugin stores the message as well
  retained                 INTEGER NOT NULL,  -- 1: sent on subscribe, as a retained message
  packet_id                INTEGER,    -- NULL: it waits in the queue
  state                    TEXT NOT NULL CHECK (state IN ('queued', 'published', 'released', 'completed')),
  sent                     INTEGER     -- the order of the first sending
);
CREATE TABLE incoming_publish (        -- QoS 2 publishes that the client has not released
  id        INTEGER PRIMARY KEY,       -- session * 65536 + packet_id
  session   INTEGER NOT NULL,
  packet_id INTEGER NOT NULL
);
CREATE TABLE retained (
  id     INTEGER PRIMARY KEY,          -- of its message
  stored INTEGER NOT NULL              -- 1: the plugin stored the message as well
);
CREATE TABLE will (
  id              INTEGER PRIMARY KEY,
  client_id       TEXT NOT NULL,
  message         INTEGER NOT NULL,
  delay           INTEGER NOT NULL,    -- in seconds
  expiry_interval INTEGER,             -- of the message, in seconds
  due_at          INTEGER              -- ms since the epoch; NULL: the client is connected
);
CREATE TABLE watermark (               -- one row
  stored_up_to TEXT NOT NULL           -- Packet Identifiers of publishes that were stored up to this message id are here
);
INSERT INTO session (id, client_id, client_id_assigned, expiry_interval, expires_at, began_after) VALUES (1, 'queue', 0, NULL, NULL, '000661405D70E95052864295B2C40000');
INSERT INTO session (id, client_id, client_id_assigned, expiry_interval, expires_at, began_after) VALUES (2, 'publisher', 0, NULL, NULL, '000661405D72C1F852864295B2C4000D');
INSERT INTO session (id, client_id, client_id_assigned, expiry_interval, expires_at, began_after) VALUES (3, 'in-flight', 0, NULL, NULL, '000661405D73334052864295B2C40012');
INSERT INTO session (id, client_id, client_id_assigned, expiry_interval, expires_at, began_after) VALUES (4, 'v4', 0, 7200, NULL, '000661405D73AC5852864295B2C4001A');
INSERT INTO session (id, client_id, client_id_assigned, expiry_interval, expires_at, began_after) VALUES (5, 'with-will', 0, NULL, NULL, '000661405D73FE6052864295B2C4001F');
INSERT INTO session (id, client_id, client_id_assigned, expiry_interval, expires_at, began_after) VALUES (6, 'late-will', 0, NULL, NULL, '000661405D7419B852864295B2C40021');
INSERT INTO subscription (id, session, topic_filter, qos, no_local, retain_as_published, retain_handling, subscription_identifier) VALUES (1, 1, 'stored/q/#', 2, 0, 0, 0, 7);
INSERT INTO subscription (id, session, topic_filter, qos, no_local, retain_as_published, retain_handling, subscription_identifier) VALUES (2, 1, 'plain/q', 1, 0, 1, 0, 8);
INSERT INTO subscription (id, session, topic_filter, qos, no_local, retain_as_published, retain_handling, subscription_identifier) VALUES (3, 3, 'plain/flight', 2, 0, 0, 0, NULL);
INSERT INTO subscription (id, session, topic_filter, qos, no_local, retain_as_published, retain_handling, subscription_identifier) VALUES (4, 4, 'plain/v4', 1, 0, 0, 0, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (1, '000661405D72161852864295B2C40005', 'stored/q/all', 'other', 1, 0, X'616C6C2070726F70657274696573', 1795778933822, '{"payload_format_indicator":1,"content_type":"text/plain","response_topic":"answers","correlation_data":"AAH/","user_properties":[["a","1"],["b","it''s"],["a","3"]]}', 6090746228822);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (2, '000661405D7250B052864295B2C40007', 'plain/q', 'other', 1, 1, X'696E207468652073657373696F6E206F6E6C79', 1795778933838, NULL, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (3, '000661405D72876052864295B2C4000A', 'stored/r', 'other', 1, 1, X'72657461696E656420616E642073746F726564', 1795778933852, NULL, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (4, '000661405D72E52152864295B2C40010', 'stored/q/two', 'publisher', 2, 0, X'6E6F742072656C6561736564', 1795778933876, NULL, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (5, '000661405D73528052864295B2C40015', 'plain/flight', 'other', 2, 0, X'7265636569766564', 1795778933904, NULL, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (6, '000661405D7369F052864295B2C40017', 'plain/flight', 'other', 2, 0, X'6E6F74207265636569766564', 1795778933910, NULL, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (7, '000661405D73DB3852864295B2C4001D', 'plain/v4', 'other', 1, 0, X'666F72204D51545420332E312E31', 1795778933939, NULL, NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (8, '', 'stored/will', 'with-will', 1, 0, X'676F6E65', 0, '{"user_properties":[["why","will"]]}', NULL);
INSERT INTO message (id, msgid, topic, sender, qos, retain, payload, arrived_at, properties, expires_at) VALUES (9, '', 'stored/late-will', 'late-will', 1, 0, X'676F6E65', 0, '{"user_properties":[["why","will"]]}', NULL);
INSERT INTO delivery (id, session, subscription, message, qos, retain, subscription_identifiers, stored, retained, packet_id, state, sent) VALUES (1, 1, 1, 1, 1, 0, '7', 1, 0, NULL, 'queued', NULL);
INSERT INTO delivery (id, session, subscription, message, qos, retain, subscription_identifiers, stored, retained, packet_id, state, sent) VALUES (2, 1, 2, 2, 1, 1, '8', 0, 0, NULL, 'queued', NULL);
INSERT INTO delivery (id, session, subscription, message, qos, retain, subscription_identifiers, stored, retained, packet_id, state, sent) VALUES (3, 1, 1, 4, 2, 0, '7', 1, 0, NULL, 'queued', NULL);
INSERT INTO delivery (id, session, subscription, message, qos, retain, subscription_identifiers, stored, retained, packet_id, state, sent) VALUES (4, 3, 3, 5, 2, 0, NULL, 0, 0, 1, 'released', 1);
INSERT INTO delivery (id, session, subscription, message, qos, retain, subscription_identifiers, stored, retained, packet_id, state, sent) VALUES (5, 3, 3, 6, 2, 0, NULL, 0, 0, 2, 'published', 2);
INSERT INTO delivery (id, session, subscription, message, qos, retain, subscription_identifiers, stored, retained, packet_id, state, sent) VALUES (6, 4, 4, 7, 1, 0, NULL, 0, 0, 1, 'published', 3);
INSERT INTO incoming_publish (id, session, packet_id) VALUES (131081, 2, 9);
INSERT INTO retained (id, stored) VALUES (2, 0);
INSERT INTO retained (id, stored) VALUES (3, 1);
INSERT INTO will (id, client_id, message, delay, expiry_interval, due_at) VALUES (1, 'with-will', 8, 0, NULL, NULL);
INSERT INTO will (id, client_id, message, delay, expiry_interval, due_at) VALUES (2, 'late-will', 9, 30, NULL, 1735689600000);
INSERT INTO watermark (stored_up_to) VALUES ('000661405D7438F852864295B2C40023');
COMMIT;
PRAGMA user_version = 1;
