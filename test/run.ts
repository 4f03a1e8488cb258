// Runs the tests: all of test/**/*.test.ts, or the files and patterns given, one process per file, in parallel.
//
//   node test/run.ts [--name REGEX] [--timeout SECONDS] [--concurrency FILES] [FILE or PATTERN ...]
//
// Exit code 0 only if at least one test ran and none failed. Skipped tests, and failed ones of what is not
// finished (`todo`), are listed last, each with its reason; before them the files that took longest.

import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, relative, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ALL_TESTS = "test/**/*.test.ts";
/** Folders with the files that take long, which come first: at the end there are small ones, so that no core waits for another. */
const LONG_FIRST = ["e2e", "cli", "dashboard", "erlang", "store", "release", "support"];
/** How many files run at a time for each core: many wait for timeouts, failovers and processes for much of their time. */
const FILES_PER_CORE = 1.5;
/** How long one test file may take, in seconds, unless --timeout says otherwise. */
const FILE_TIMEOUT = 450;
/** How long one test may take, in ms, unless it sets its own `timeout`. */
const TEST_TIMEOUT = 180_000;
/** How long the whole run may take where the machine is busy with other things as well, in ms: ends files that hang without giving their own timer a turn. */
const RUN_TIMEOUT = 60 * 60 * 1000;

/** So many of the files that took longest are listed. */
const SHOWN = 10;

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: "string" },
    timeout: { type: "string", default: String(FILE_TIMEOUT) },
    concurrency: { type: "string", default: String(Math.ceil(FILES_PER_CORE * availableParallelism())) },
  },
});
const patterns = positionals.length > 0 ? positionals : [ALL_TESTS];
const files = [...new Set(globSync(patterns))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
const unmatched = patterns.filter((pattern) => globSync(pattern).length === 0);
if (unmatched.length > 0) {
  console.error(`test/run.ts: no test file matches ${unmatched.join(", ")}`);
  process.exit(1);
}

/** Where its folder stands in `LONG_FIRST`. */
function rank(file: string): number {
  const at = LONG_FIRST.findIndex((folder) => file.startsWith(`test/${folder}/`));
  return at === -1 ? LONG_FIRST.length : at;
}

const skipped: string[] = [];
/** Tests of what is not finished (`todo`) that failed: they are listed, and the run goes on. */
const open: string[] = [];
const withoutTests: string[] = [];
/** Seconds of each file. */
const took = new Map<string, number>();
let failed = false;
let testsRun = 0;

process.env.OMP_TEST_FILE_LIMIT = values.timeout;
// Hundreds of processes load the same modules: what one has compiled, the others need not.
process.env.NODE_COMPILE_CACHE ??= resolve(root, ".cache/node");
const stream = run({
  files: files.map((file) => resolve(file)),
  concurrency: Number(values.concurrency),
  timeout: Math.min(TEST_TIMEOUT, Number(values.timeout) * 1000),
  execArgv: ["--import", new URL("support/file-limit.ts", import.meta.url).href],
  signal: AbortSignal.timeout(RUN_TIMEOUT),
  testNamePatterns: values.name === undefined ? undefined : new RegExp(values.name),
});
stream.on("test:pass", (event) => {
  const file = event.file === undefined ? "" : relative(root, event.file);
  if (event.skip !== undefined) {
    skipped.push(
      `${file}: ${event.name}${typeof event.skip === "string" && event.skip !== "" ? `: ${event.skip}` : ""}`,
    );
  } else if (event.details.type !== "suite") {
    // A file that declares no test at all is reported as a passed test named after the file.
    if (event.nesting === 0 && resolve(event.name) === event.file) withoutTests.push(file);
    else testsRun++;
  }
});
stream.on("test:fail", (event) => {
  testsRun++;
  if (event.todo === undefined || event.todo === false) failed = true;
  else if (event.file !== undefined) open.push(`${relative(root, event.file)}: ${event.name}: ${event.todo}`);
});

stream.on("test:summary", ({ file, duration_ms }) => {
  if (file !== undefined) took.set(relative(root, file), duration_ms / 1000);
});

const report = stream.compose(new spec());
report.on("end", () => {
  const longest = [...took].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  for (const [file, seconds] of longest) console.log(`ℹ ${seconds.toFixed(1)} s in ${file}`);
  for (const line of skipped) console.log(`﹣ skipped: ${line}`);
  for (const line of open) console.log(`⚠ open: ${line}`);
  if (values.name === undefined) {
    for (const file of withoutTests) console.log(`✖ no test in ${file}`);
    failed ||= withoutTests.length > 0;
  }
  if (testsRun === 0) console.log("✖ no test ran");
  process.exitCode = failed || testsRun === 0 ? 1 : 0;
});
report.pipe(process.stdout);
