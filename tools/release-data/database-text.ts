// An SQLite file as SQL text from which the same file can be made again.

import { DatabaseSync } from "node:sqlite";

type Row = Readonly<Record<string, string>>;

/** Throws SQLite's errors. */
export function databaseText(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = (sql: string) => database.prepare(sql).all() as unknown as Row[];
    const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    const schema = rows("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid");
    // SQLite makes this table by itself, with the first one that counts its row ids.
    const own = ({ name = "" }: Row) => !name.startsWith("sqlite_");
    const lines = [
      `PRAGMA auto_vacuum = ${pragma("auto_vacuum")};`,
      "BEGIN;",
      ...schema.filter(own).map(({ sql }) => `${sql};`),
      ...schema.filter(({ type }) => type === "table").flatMap(({ name = "" }) => insertsOf(name, rows)),
      "COMMIT;",
      `PRAGMA user_version = ${pragma("user_version")};`,
    ];
    return `${lines.join("\n")}\n`;
  } finally {
    database.close();
  }
}

function insertsOf(table: string, rows: (sql: string) => Row[]): string[] {
  const columns = rows(`SELECT name FROM pragma_table_info('${table}')`).map(({ name = "" }) => name);
  const values = columns.map((column) => `quote(${column})`).join(" || ', ' || ");
  const inserts = rows(`SELECT ${values} AS quoted FROM ${table}`).map(
    ({ quoted }) => `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${quoted});`,
  );
  return table === "sqlite_sequence" ? ["DELETE FROM sqlite_sequence;", ...inserts] : inserts;
}
