// Why a port cannot be listened on, in the words of the command line.

import assert from "node:assert/strict";
import test from "node:test";
import { ListenError } from "../../src/broker/errors.ts";
import { listenProblem } from "../../src/cli/listen-problem.ts";

const cases: readonly [type: string, code: string, port: number, message: RegExp][] = [
  [
    "tcp",
    "EACCES",
    80,
    /^cannot listen on 127\.0\.0\.1:80 .*: permission denied: ports below 1024 need rights .*--port$/,
  ],
  ["tcp", "EADDRNOTAVAIL", 80, /127\.0\.0\.1 is no address of this machine: choose another with --host$/],
  ["tcp", "EACCES", 8080, /^as the broker says it$/],
  ["tcp", "EADDRINUSE", 80, /^cannot listen on 127\.0\.0\.1:80 for listeners\.tcp\.default: .*in use.* with --port$/],
  ["ws", "EADDRINUSE", 80, /^cannot listen on 127\.0\.0\.1:80 for listeners\.ws\.default: .*in use.* with --ws-port$/],
  ["ssl", "EADDRINUSE", 80, /^cannot listen .* for listeners\.ssl\.default: .* with listeners\.ssl\.default\.bind$/],
];

for (const [type, code, port, message] of cases) {
  test(`${code} on port ${port} of ${type}`, () => {
    const cause = Object.assign(new Error("refused"), { code });
    const failure = { listener: `listeners.${type}.default`, host: "127.0.0.1", port, cause };
    const problem = listenProblem(new ListenError("as the broker says it", failure));
    assert.match(problem.message, message);
    assert.equal(problem.exitCode, 1);
  });
}
