// The tables of broker.db: what outlives the broker of its sessions, wills and retained messages.
//
// Row ids are given by the broker. Message rows are shared: by the deliveries of many sessions, and by a retained
// message. Migrations are numbered; what has been released is never changed, only added to.

/** The tables besides `message`, with their columns; the row id comes first. */
export const COLUMNS = {
  session: ["id", "client_id", "client_id_assigned", "expiry_interval", "expires_at", "began_after"],
  subscription: [
    "id",
    "session",
    "topic_filter",
    "qos",
    "no_local",
    "retain_as_published",
    "retain_handling",
    "subscription_identifier",
  ],
  delivery: [
    "id",
    "session",
    "subscription",
    "message",
    "qos",
    "retain",
    "subscription_identifiers",
    "stored",
    "retained",
    "packet_id",
    "state",
    "sent",
  ],
  incoming_publish: ["id", "session", "packet_id"],
  retained: ["id", "stored"],
  will: ["id", "client_id", "message", "delay", "expiry_interval", "due_at"],
} as const;

export type Table = keyof typeof COLUMNS;

export const TABLES = Object.keys(COLUMNS) as Table[];

const FIRST_TABLES = `
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
`;

/** Migration n is at index n - 1. */
export const MIGRATIONS: readonly string[] = [FIRST_TABLES];
