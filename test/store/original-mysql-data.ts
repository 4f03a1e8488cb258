// What EMQX's plugin left in MySQL (original/), as if it had been stored just now.

import { readFileSync } from "node:fs";
import type { Message, QoS } from "../../src/mqtt/message.ts";
import type { MariadbClient } from "../support/mariadb-client.ts";

export { expected } from "./original-data.ts";

/** A row of `mqtt_msg`. */
export interface MessageRow {
  readonly id: number;
  readonly msgid: string;
  readonly topic: string;
  readonly sender: string;
  readonly qos: QoS;
  readonly retain: 0 | 1;
  readonly payload: Buffer;
  /** `YYYY-MM-DD hh:mm:ss` in UTC. */
  readonly arrived: string;
}

/** A row of `mqtt_sub`. */
export interface SubscriptionRow {
  readonly clientid: string;
  readonly topic: string;
  readonly qos: QoS;
}

interface Recorded {
  readonly mqtt_msg: readonly (Omit<MessageRow, "payload"> & { readonly payload_hex: string })[];
  readonly mqtt_sub: readonly SubscriptionRow[];
}

const MESSAGE_COLUMNS = "id, msgid, topic, sender, qos, `retain`, payload, arrived";

const recorded: Recorded = JSON.parse(readFileSync(new URL("./original/mysql.json", import.meta.url), "utf8"));

/** What lies between the recording and now, in ms; whole seconds, as the column keeps no parts of them. */
const age =
  Math.floor(Date.now() / 1000) * 1000 - Math.max(...recorded.mqtt_msg.map(({ arrived }) => fromDatetime(arrived)));

/** The messages of the original in the order of their ids, which is publish order, with times of now. */
export const originalRows: readonly MessageRow[] = recorded.mqtt_msg.map(({ payload_hex, arrived, ...row }) => ({
  ...row,
  payload: Buffer.from(payload_hex, "hex"),
  arrived: toDatetime(fromDatetime(arrived) + age),
}));

/** The subscriptions of the original in the order of their key. */
export const originalSubscriptionRows: readonly SubscriptionRow[] = recorded.mqtt_sub;

/** The messages of the original, in publish order. */
export function originalMysqlMessages(): Message[] {
  return originalRows.map(({ msgid, sender, topic, qos, retain, payload, arrived }) => ({
    id: msgid,
    from: sender,
    topic,
    qos,
    retain: retain === 1,
    payload,
    timestamp: fromDatetime(arrived),
  }));
}

/** Writes all rows into the tables of the client's database, as the original left them on a server that keeps UTC. */
export async function loadOriginalMysql(client: MariadbClient): Promise<void> {
  for (const { id, msgid, topic, sender, qos, retain, payload, arrived } of originalRows) {
    const values = [id, msgid, topic, sender, qos, retain, payload, arrived];
    await client.query(`INSERT INTO mqtt_msg (${MESSAGE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, values);
  }
  for (const { clientid, topic, qos } of originalSubscriptionRows) {
    await client.query("INSERT INTO mqtt_sub (clientid, topic, qos) VALUES (?, ?, ?)", [clientid, topic, qos]);
  }
}

/** Every row of `mqtt_msg` in the order of ids, with the columns of the original. */
export async function messageRows(client: MariadbClient): Promise<MessageRow[]> {
  return (await client.query(`SELECT ${MESSAGE_COLUMNS} FROM mqtt_msg ORDER BY id`)) as unknown as MessageRow[];
}

/** Every row of `mqtt_sub` in the order of its key, with the columns of the original. */
export async function subscriptionRows(client: MariadbClient): Promise<SubscriptionRow[]> {
  const rows = await client.query("SELECT clientid, topic, qos FROM mqtt_sub ORDER BY clientid, topic");
  return rows as unknown as SubscriptionRow[];
}

function fromDatetime(text: string): number {
  return Date.parse(`${text.replace(" ", "T")}Z`);
}

function toDatetime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 19).replace("T", " ");
}
