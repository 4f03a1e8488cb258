// Why a port cannot be listened on, in the words of the command line.

import assert from "node:assert/strict";
import test from "node:test";
import { ListenError } from "../../src/broker/errors.ts";
import { listenProblem } from "../../src/cli/listen-problem.ts";

const cases: readonly [code: string, port: number, message: RegExp][] = [
  ["EACCES", 80, /^cannot listen on 127\.0\.0\.1:80: permission denied: ports below 1024 need rights .*--port$/],
  ["EADDRNOTAVAIL", 80, /127\.0\.0\.1 is no address of this machine: choose another with --host$/],
  ["EACCES", 8080, /^as the broker says it$/],
  ["EADDRINUSE", 80, /^as the broker says it$/],
];

for (const [code, port, message] of cases) {
  test(`${code} on port ${port}`, () => {
    const cause = Object.assign(new Error("refused"), { code });
    const problem = listenProblem(new ListenError("as the broker says it", { cause }), { host: "127.0.0.1", port });
    assert.match(problem.message, message);
    assert.equal(problem.exitCode, 1);
  });
}
