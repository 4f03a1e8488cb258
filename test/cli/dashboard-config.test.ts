// What the sections about the HTTP API mean: who else than this machine's users can reach it is asked for an account.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { accountsOptions, managementOptions } from "../../src/cli/dashboard-config.ts";
import { parseOmpConfig } from "../../src/cli/omp-config.ts";
import { openAccounts } from "../../src/cli/open-accounts.ts";
import { defaultAccountsOptions } from "../../src/management/accounts/options.ts";
import { type LogEntry, loggerInto } from "../broker/broker-fixture.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

function read(value: unknown) {
  const result = parseOmpConfig(value);
  assert.ok("config" in result, JSON.stringify(result));
  return result.config;
}

function options(value: unknown) {
  const { dashboard, prometheus } = read(value);
  return managementOptions(dashboard, prometheus);
}

const listeners = (http: unknown, https: unknown = 0) => {
  const ssl_options = { certfile: "a.pem", keyfile: "a.key" };
  return { dashboard: { listeners: { http: { bind: http }, https: { bind: https, ssl_options } } } };
};

test("by default it is for this machine, and the metrics are open", () => {
  const { http, https, origins, metricsNeedAccount } = options({}) ?? {};
  assert.deepEqual(http, { host: "127.0.0.1", port: 18_083, maxConnections: 512 });
  assert.deepEqual([https, origins, metricsNeedAccount], [undefined, [], false]);
  assert.deepEqual(accountsOptions(read({}).dashboard), defaultAccountsOptions);
});

test("whoever else can reach it gives an account for the metrics too", () => {
  assert.equal(options({ prometheus: { enable_basic_auth: true } })?.metricsNeedAccount, true);
  for (const [http, https, needed] of [
    ["0.0.0.0:1", 0, true],
    ["127.0.0.1:1", "10.0.0.1:1", true],
    [0, "[::]:1", true],
    ["[::1]:1", "127.0.0.2:1", false],
  ]) {
    assert.equal(options(listeners(http, https))?.metricsNeedAccount, needed, `${http} ${https}`);
  }
  assert.equal(options(listeners(0)), undefined);
});

test("passwords in clear are warned of", (t) => {
  for (const [bind, isWarned] of [
    ["0.0.0.0:1", true],
    ["127.0.0.1:1", false],
    [0, false],
  ] as const) {
    const log: LogEntry[] = [];
    const paths = { accounts: join(temporaryDirectory(t), "accounts.json") };
    const settings = { paths, config: read(listeners(bind, "10.0.0.1:1")), apiKeys: [] };
    const { firstUser } = openAccounts(settings as never, { logger: loggerInto(log) } as never);
    assert.equal(firstUser?.username, "admin");
    assert.equal(
      log.some(({ message }) => /passwords cross the network in clear/.test(message)),
      isWarned,
      String(bind),
    );
  }
});
