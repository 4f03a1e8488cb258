// The machine that the figures belong to.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Names and values, for the head of the table. `directory`: where the data lies. */
export function describeMachine(directory: string): readonly (readonly [name: string, value: string])[] {
  return [
    ["processor", `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} cores`],
    ["memory", `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`],
    ["file system", fileSystem(directory)],
    ["Node", process.version],
    ["SQLite", sqliteVersion()],
    ["commit", commit()],
    ["date", new Date().toISOString().slice(0, 10)],
  ];
}

function sqliteVersion(): string {
  const database = new DatabaseSync(":memory:");
  const row = database.prepare("SELECT sqlite_version() AS version").get() as { version: string };
  database.close();
  return row.version;
}

/** The type of the mount that holds the directory. */
function fileSystem(directory: string): string {
  const path = resolve(directory);
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, point = ""]) => point === "/" || path === point || path.startsWith(`${point}/`))
    .sort(([, a = ""], [, b = ""]) => b.length - a.length);
  return mounts[0]?.[2] ?? "unknown";
}

function commit(): string {
  try {
    const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
    const changed = git("status", "--porcelain", "--", "src") === "" ? "" : ", with changes";
    return `${git("rev-parse", "--short=10", "HEAD")}${changed}`;
  } catch {
    return "unknown";
  }
}
