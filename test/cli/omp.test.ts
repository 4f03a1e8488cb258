// The `omp` command line: help, version, and wrong options. Each mistake gets one line, exit code 2, and no stack trace.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { BROKER_OPTIONS } from "../../src/cli/broker-settings.ts";
import { runOmp } from "../support/omp.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

test("--help and no command show the commands", async () => {
  for (const args of [["--help"], ["-h"], ["help"], []]) {
    const { code, stdout, stderr } = await runOmp(args);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^Usage: omp COMMAND/m);
    for (const command of ["broker", "plugins", "backup", "restore", "mysql"])
      assert.match(stdout, new RegExp(`^  ${command} `, "m"));
  }
});

test("--version shows the version", async () => {
  for (const args of [["--version"], ["-v"], ["broker", "--version"], ["broker", "-v"]]) {
    const { code, stdout } = await runOmp(args);
    assert.equal(code, 0);
    assert.match(stdout, /^omp \d+\.\d+\.\d+\n$/);
  }
});

test("broker --help shows every option and starts nothing", async (t) => {
  const dataDirectory = join(temporaryDirectory(t), "data");
  for (const help of ["--help", "-h"]) {
    const { code, stdout, stderr } = await runOmp(["broker", "--data-dir", dataDirectory, help]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    for (const name of Object.keys(BROKER_OPTIONS)) assert.match(stdout, new RegExp(`^  --${name}\\b`, "m"));
  }
  assert.equal(existsSync(dataDirectory), false);
});

const wrong: readonly [name: string, args: readonly string[], line: RegExp][] = [
  ["an unknown command", ["brokr"], /^omp: unknown command brokr \(omp --help/],
  ["an unknown option before the command", ["--broker"], /^omp: unknown option --broker/],
  ["a misspelt option", ["broker", "--prot", "5"], /^omp: unknown option --prot: did you mean --port\?/],
  ["an unknown short option", ["broker", "-p", "5"], /^omp: unknown option -p \(omp broker --help lists/],
  ["an option like no other", ["broker", "--colour"], /^omp: unknown option --colour \(omp broker --help lists/],
  ["an argument too many", ["broker", "data"], /^omp: unexpected argument data/],
  ["an option without its value", ["broker", "--port"], /^omp: --port needs a value: --port N$/],
  ["an option in place of a value", ["broker", "--host", "--port", "5"], /^omp: --host needs a value: --host ADDR$/],
  [
    "a value for a switch",
    ["broker", "--without-plugins=yes"],
    /^omp: --without-plugins takes no value: leave out =yes$/,
  ],
  [
    "a port that is no number",
    ["broker", "--port", "mqtt"],
    /^omp: --port must be a whole number from 0 to 65535, not "mqtt"$/,
  ],
  ["a port that is too high", ["broker", "--port=65536"], /^omp: --port must be .* not "65536"$/],
  ["a negative port", ["broker", "--port", "-1"], /^omp: --port must be a whole number from 0 to 65535, not "-1"$/],
  ["an empty host", ["broker", "--host="], /^omp: --host needs a value: --host ADDR$/],
  ["an empty data directory", ["broker", "--data-dir="], /^omp: --data-dir needs a value: --data-dir DIR$/],
  ["an empty file name", ["broker", "--config", ""], /^omp: --config needs a value: --config FILE$/],
  [
    "an unknown log level",
    ["broker", "--log-level", "loud"],
    /^omp: --log-level must be debug or info or .*, not "loud"$/,
  ],
  ["an unknown log format", ["broker", "--log-format", "xml"], /^omp: --log-format must be text or json, not "xml"$/],
  [
    "an address that others can reach",
    ["broker", "--host", "0.0.0.0"],
    /^omp: --host 0\.0\.0\.0 can be reached by others.*--allow-anonymous$/,
  ],
  ["every IPv6 address", ["broker", "--host", "[::]"], /^omp: --host :: can be reached by others/],
  [
    "options that exclude each other",
    ["broker", "--without-plugins", "--plugin-config", "x"],
    /exclude each other: leave one out$/,
  ],
  [
    "a missing configuration",
    ["broker", "--config", "/nowhere/x.hocon"],
    /^omp: \/nowhere\/x\.hocon: cannot be read: no such file or directory$/,
  ],
  [
    "a missing plugin configuration",
    ["broker", "--plugin-config", "/nowhere/x"],
    /^omp: \/nowhere\/x: cannot be read: no such file/,
  ],
];

for (const [name, args, line] of wrong) {
  test(`refuses ${name}`, async (t) => {
    const cwd = temporaryDirectory(t);
    const { code, stdout, stderr } = await runOmp(args, { cwd });
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines.length, 1, stderr);
    assert.match(lines[0] ?? "", line);
    assert.equal(existsSync(join(cwd, "data")), false, "a wrong option leaves nothing behind");
  });
}
