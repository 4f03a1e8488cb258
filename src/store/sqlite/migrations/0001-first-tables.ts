// Migration 1: messages, subscriptions, and what is stored per topic.
//
// `mqtt_msg` and `mqtt_sub` have the columns of the EMQX plugin's MySQL schema first, then ours, which may be NULL.
// AUTOINCREMENT, because a row id that is used again would put a new message behind a reader that has passed it.

export const FIRST_TABLES = `
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
);
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
`;
