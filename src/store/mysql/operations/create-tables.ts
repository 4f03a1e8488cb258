// Creates the tables of EMQX's plugin where there are none, with room for what that plugin leaves out.
//
// The plugin can use them as well: they have its columns under its names. Beyond these: texts are compared exactly, columns are
// wider, `msgid` has an index, and `properties` and `expires_at` may be NULL.

import type { Execute } from "../context.ts";

/** A collation for which texts that differ in anything are different, trailing spaces included. */
export function exactCollation(isMariaDb: boolean): string {
  return isMariaDb ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin";
}

/** An index takes 3,072 bytes: 768 characters, or those of a client id and a topic filter together. */
export const TOPIC_LENGTH = 768;
export const CLIENT_ID_LENGTH = 255;
export const FILTER_LENGTH = 512;

export function messageTable(collation: string): string {
  return `CREATE TABLE IF NOT EXISTS mqtt_msg (
  id bigint unsigned NOT NULL AUTO_INCREMENT,
  msgid varchar(64) DEFAULT NULL,
  topic varchar(${TOPIC_LENGTH}) NOT NULL,
  sender varchar(${CLIENT_ID_LENGTH}) DEFAULT NULL,
  qos tinyint(1) NOT NULL DEFAULT '0',
  retain tinyint(1) DEFAULT NULL,
  payload longblob,
  arrived datetime(3) NOT NULL,
  properties mediumtext DEFAULT NULL,
  expires_at bigint DEFAULT NULL,
  PRIMARY KEY (id),
  INDEX topic_index (topic),
  INDEX msgid_index (msgid)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=${collation}`;
}

export function subscriptionTable(collation: string): string {
  return `CREATE TABLE IF NOT EXISTS mqtt_sub (
  clientid varchar(${CLIENT_ID_LENGTH}) NOT NULL,
  topic varchar(${FILTER_LENGTH}) NOT NULL,
  qos tinyint(1) NOT NULL DEFAULT '0',
  PRIMARY KEY (clientid, topic)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=${collation}`;
}

const THERE = `SELECT LOWER(TABLE_NAME) AS name FROM information_schema.TABLES
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('mqtt_msg', 'mqtt_sub')`;

/**
 * Creates those that the server does not show: the right to CREATE, without which even IF NOT EXISTS is refused, is needed for
 * these only. Rejects with the error of MySQL or the connection.
 */
export async function createTables(execute: Execute): Promise<void> {
  const there = new Set((await execute(THERE)).rows.map(({ name }) => String(name)));
  if (there.size === 2) return;
  const { rows } = await execute("SELECT VERSION() AS version");
  const collation = exactCollation(/mariadb/i.test(String(rows[0]?.version)));
  if (!there.has("mqtt_msg")) await execute(messageTable(collation));
  if (!there.has("mqtt_sub")) await execute(subscriptionTable(collation));
}
