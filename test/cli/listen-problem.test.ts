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

const dashboardCases: readonly [code: string, message: RegExp][] = [
  [
    "EADDRINUSE",
    /^cannot listen on 127\.0\.0\.1:18083 for dashboard\.listeners\.http: .*in use.* with --dashboard-port$/,
  ],
  ["EADDRNOTAVAIL", /choose another with dashboard\.listeners\.http\.bind$/],
];

for (const [code, message] of dashboardCases) {
  test(`${code} of the HTTP API`, () => {
    const cause = Object.assign(new Error("refused"), { code });
    const failure = { listener: "dashboard.listeners.http", host: "127.0.0.1", port: 18_083, cause };
    assert.match(listenProblem(new ListenError("as the server says it", failure)).message, message);
  });
}

for (const [type, code, port, message] of cases) {
  test(`${code} on port ${port} of ${type}`, () => {
    const cause = Object.assign(new Error("refused"), { code });
    const failure = { listener: `listeners.${type}.default`, host: "127.0.0.1", port, cause };
    const problem = listenProblem(new ListenError("as the broker says it", failure));
    assert.match(problem.message, message);
    assert.equal(problem.exitCode, 1);
  });
}
