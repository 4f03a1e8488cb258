// The control socket: for its owner only, made anew where a killed broker has left one, and done without where it cannot be made.

import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Broker } from "../../src/broker/broker.ts";
import { ControlServer } from "../../src/management/control-server.ts";
import { AllowedPackages } from "../../src/management/plugins/allowed-packages.ts";
import { PluginManager } from "../../src/management/plugins/plugin-manager.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

function makeServer(t: TestContext, name: string) {
  const log: LogEntry[] = [];
  const logger = loggerInto(log);
  const folder = temporaryDirectory(t);
  const path = join(folder, name);
  const allowed = new AllowedPackages(() => 0);
  const broker = new Broker({ options: { port: 0 }, logger });
  const plugins = new PluginManager({ broker, folder, allowed, logger, changed: () => {} });
  const server = new ControlServer({ path, plugins, allowed, logger });
  t.after(() => server.stop());
  return { server, path, log, allowed };
}

test("it is the owner's, takes the place of what was left, and gives permissions", async (t) => {
  const { server, path, log, allowed } = makeServer(t, "control.sock");
  writeFileSync(path, "left behind");
  await server.start();
  assert.deepEqual(log, []);
  const found = statSync(path);
  assert.equal(found.isSocket(), true);
  assert.equal(found.mode & 0o777, 0o600);
  const status = await new Promise((resolve, reject) => {
    request({ socketPath: path, method: "POST", path: "/api/v5/plugins/a-1/allow" }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
  assert.equal(status, 204);
  assert.equal(allowed.has("a-1"), true);
});

test("a path that is too long for a socket is a warning", async (t) => {
  const { server, log } = makeServer(t, `${"long".repeat(40)}.sock`);
  await server.start();
  assert.deepEqual(
    log.map(({ level, message }) => [level, message]),
    [["warn", "omp plugins, admins and keys cannot reach this broker: there is no control socket"]],
  );
});
