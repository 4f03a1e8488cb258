// Brings the tables of EMQX's plugin up to what `init_default_schema` makes: one ALTER TABLE for each, or none.
//
// A table is only ever made to hold more and to tell more apart, so every row and id stays, and no key can find two rows equal
// that were not before. What a user has made wider, or changed otherwise, stays as it is.

import type { Execute } from "./context.ts";
import { describeTable, type MigratedTable, type TableColumn } from "./migrated-table.ts";
import { CLIENT_ID_LENGTH, exactCollation, FILTER_LENGTH, TOPIC_LENGTH } from "./operations/create-tables.ts";
import { comparesExactly } from "./table-shape.ts";

export type MigratedTableName = "mqtt_msg" | "mqtt_sub";

export interface MigrationStep {
  readonly table: MigratedTableName;
  /** Absent: there is nothing to do. */
  readonly statement?: string;
  /** Why, one sentence for each part of the statement. */
  readonly reasons: readonly string[];
  /** An estimate. */
  readonly rows: number;
}

/** Why a table cannot be brought up; the message is a sentence. */
export class MigrationError extends Error {}

/** Characters that the key of `mqtt_sub` has room for: 3,072 bytes. */
const KEY_LENGTH = 768;

/** What is to be done with a table; undefined: it is not there. Rejects with `MigrationError` and with MySQL's error. */
export async function planMigration(execute: Execute, name: MigratedTableName): Promise<MigrationStep | undefined> {
  const table = await describeTable(execute, name);
  if (table === undefined) return undefined;
  if (table.kind !== "BASE TABLE") throw new MigrationError(`${name} is no table but a ${table.kind.toLowerCase()}.`);
  const plan = new Plan(table, exactCollation(table.isMariaDb));
  if (name === "mqtt_msg") planMessages(plan);
  else planSubscriptions(plan);
  plan.storage();
  const { clauses, reasons } = plan;
  return {
    table: name,
    ...(clauses.length === 0 ? undefined : { statement: `ALTER TABLE ${name}\n  ${clauses.join(",\n  ")}` }),
    reasons,
    rows: table.rows,
  };
}

function planMessages(plan: Plan): void {
  plan.needs(["id", "msgid", "topic", "sender", "qos", "retain", "payload", "arrived"]);
  plan.text("msgid", 64);
  plan.text("topic", TOPIC_LENGTH);
  plan.text("sender", CLIENT_ID_LENGTH);
  plan.widen("payload", /^(tinyblob|blob|mediumblob|varbinary)$/, "longblob", "takes payloads of up to 4 GB");
  plan.milliseconds("arrived");
  plan.add("properties", `mediumtext ${plan.charset} DEFAULT NULL`, "keeps MQTT 5 properties");
  plan.add("expires_at", "bigint DEFAULT NULL", "keeps the expiry of messages");
  plan.index("topic_index", "topic", "finds the messages of a topic");
  plan.index("msgid_index", "msgid", "finds messages by their ids");
}

function planSubscriptions(plan: Plan): void {
  plan.needs(["clientid", "topic", "qos"]);
  const client = plan.lengthOf("clientid");
  const topic = plan.lengthOf("topic");
  if (client + topic > KEY_LENGTH) {
    throw new MigrationError(
      `mqtt_sub: clientid and topic have ${client + topic} characters together, and a key with exact comparison room for ${KEY_LENGTH}: make one of them narrower.`,
    );
  }
  // Both get their width, unless the other one takes more of the key already.
  plan.text("clientid", Math.min(CLIENT_ID_LENGTH, KEY_LENGTH - topic));
  plan.text("topic", Math.min(FILTER_LENGTH, KEY_LENGTH - Math.max(client, CLIENT_ID_LENGTH)));
}

class Plan {
  readonly clauses: string[] = [];
  readonly reasons: string[] = [];
  readonly charset: string;
  readonly #table: MigratedTable;
  readonly #collation: string;

  constructor(table: MigratedTable, collation: string) {
    this.#table = table;
    this.#collation = collation;
    this.charset = `CHARACTER SET utf8mb4 COLLATE ${collation}`;
  }

  needs(columns: readonly string[]): void {
    const { name } = this.#table;
    const missing = columns.filter((column) => !this.#table.columns.has(column));
    if (missing.length === 0) return;
    throw new MigrationError(
      `${name} has no column ${missing.join(", ")}: it is not the table of EMQX's plugin, and is left as it is.`,
    );
  }

  lengthOf(column: string): number {
    return this.#column(column).maxCharacters ?? 0;
  }

  /** Exact comparison of all characters, and at least this length. */
  text(name: string, length: number): void {
    const column = this.#column(name);
    const { type, maxCharacters = 0 } = column;
    const isShort = /^(char|varchar|tinytext)$/.test(type) && maxCharacters < length;
    const isExact = comparesExactly(column) && column.takesAllCharacters && column.collation !== undefined;
    if (!isShort && isExact) return;
    const isVariable = /^(char|varchar|tinytext)$/.test(type);
    if (!isVariable && !/text$/.test(type)) return;
    const newType = isVariable ? `varchar(${Math.max(length, maxCharacters)})` : column.fullType;
    this.#modify(column, `${newType} ${this.charset}`);
    const reasons = [
      ...(isExact ? [] : ["tells texts apart that differ in case, accents or spaces at the end"]),
      ...(isShort ? [`takes ${length} characters`] : []),
    ];
    this.reasons.push(`${name} ${reasons.join(", and ")}`);
  }

  widen(name: string, narrow: RegExp, type: string, reason: string): void {
    const column = this.#column(name);
    if (!narrow.test(column.type)) return;
    this.#modify(column, type);
    this.reasons.push(`${name} ${reason}`);
  }

  milliseconds(name: string): void {
    const column = this.#column(name);
    if (column.type !== "datetime" || (column.precision ?? 0) >= 3) return;
    this.#modify(column, "datetime(3)");
    this.reasons.push(`${name} keeps milliseconds`);
  }

  add(name: string, definition: string, reason: string): void {
    if (this.#table.columns.has(name)) return;
    this.clauses.push(`ADD COLUMN ${name} ${definition}`);
    this.reasons.push(`${name} ${reason}`);
  }

  index(name: string, column: string, reason: string): void {
    const { indexed, indexes } = this.#table;
    if (indexed.has(column)) return;
    // One of this name is of another column, or of the beginnings of this one's values.
    if (indexes.has(name)) this.clauses.push(`DROP INDEX ${name}`);
    this.clauses.push(`ADD INDEX ${name} (${column})`);
    this.reasons.push(`${name} ${reason}`);
  }

  /** What the columns need of the table, and what columns get that somebody adds. */
  storage(): void {
    const { engine, rowFormat, collation } = this.#table;
    const isInnoDb = engine === "innodb";
    if (!isInnoDb) {
      this.clauses.push("ENGINE=InnoDB");
      this.reasons.push("the engine InnoDB keeps what it has committed");
    }
    if (!isInnoDb || /^(compact|redundant)$/.test(rowFormat)) {
      this.clauses.push("ROW_FORMAT=DYNAMIC");
      this.reasons.push("the row format has room for longer keys");
    }
    if (!comparesExactly({ name: "", type: "", collation, takesAllCharacters: true, isNullable: true })) {
      this.clauses.push(`DEFAULT ${this.charset}`);
      this.reasons.push(`columns that are added later compare exactly too (${this.#collation})`);
    }
  }

  #column(name: string): TableColumn {
    const column = this.#table.columns.get(name);
    if (column === undefined) throw new Error(`no column ${name}`);
    return column;
  }

  /** Keeps what the column may be without, its default and its comment. */
  #modify({ name, isNullable, defaultSql, commentSql }: TableColumn, type: string): void {
    const rest = [isNullable ? "NULL" : "NOT NULL", ...(defaultSql ? [`DEFAULT ${defaultSql}`] : []), commentSql ?? ""];
    this.clauses.push(`MODIFY COLUMN ${name} ${type} ${rest.join(" ").trim()}`);
  }
}
