// The whole way of a user in Chromium, on each kind of store: from dropping the release package to the messages that arrive.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { PLUGIN_NAME } from "../../src/engine/release-info.ts";
import { version } from "../../src/mqtt/version.ts";
import { ROOT } from "../../tools/release/bundle.ts";
import { runChild } from "../support/child.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { mariadbSkip, startPlain } from "../support/mariadb.ts";
import { redisSkip, startSingle } from "../support/redis.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";
import { dropFile, openSignedIn, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const PLUGIN = `${PLUGIN_NAME}-${version()}`;
/** A build takes seconds, more on a busy machine, in ms. */
const BUILD_TIMEOUT = 120_000;
const websocket = { mqttPath: "/mqtt", maxFrameSize: 65_536, checkOriginEnable: true, checkOrigins: [] };

const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();
const field = (page: Page, path: string) => page.locator(`[data-path="${path}"]`);
const fill = (page: Page, path: string, value: string) => field(page, path).locator("input").fill(value);

/** Switches to this store in the form, and fills in where it is. */
async function choose(page: Page, store: "redis" | "mysql", place: Readonly<Record<string, string>>): Promise<void> {
  await field(page, "sqlite.enable").locator(".el-switch__core").click();
  await field(page, `${store}.enable`).locator(".el-switch__core").click();
  for (const [key, value] of Object.entries(place)) await fill(page, `${store}.${key}`, value);
  await field(page, `${store}.topics`).getByRole("button", { name: "+ Add" }).click();
  await field(page, `${store}.topics`).getByRole("textbox").fill("t/#");
}

const STORES: readonly {
  readonly name: string;
  readonly skip: string | false;
  readonly configure?: (t: TestContext, page: Page) => Promise<void>;
}[] = [
  { name: "SQLite", skip },
  {
    name: "Redis",
    skip: skip || redisSkip("single"),
    async configure(t, page) {
      const { place } = await startSingle(t);
      await choose(page, "redis", { servers: place.servers.map(({ host, port }) => `${host}:${port}`).join(",") });
    },
  },
  {
    name: "MySQL",
    skip: skip || mariadbSkip("plain"),
    async configure(t, page) {
      const { host, port, database, username, password } = (await startPlain(t)).place;
      await choose(page, "mysql", { server: `${host}:${port}`, database, username, password });
    },
  },
];

describe("from the package to the messages", () => {
  const scope = inReverse({ after });
  const output = temporaryDirectory(scope);
  before(async () => {
    const args = ["tools/release/release.ts", output];
    const { code, stderr } = await runChild(process.execPath, args, { cwd: ROOT, timeout: BUILD_TIMEOUT });
    assert.equal(code, 0, stderr);
  });

  for (const { name, skip, configure } of STORES) {
    test(name, { skip }, async (t) => {
      const broker = await startDashboard(t, {
        builtIn: undefined,
        broker: { ws: { host: "127.0.0.1", port: 0, websocket } },
      });
      const { page, problems } = await openSignedIn(t, browser, broker, "/plugins");
      await broker.ask({ method: "POST", path: `/plugins/${PLUGIN}/allow`, isLocal: true });
      const archive = readFileSync(join(output, `${PLUGIN}.tar.gz`));
      await dropFile(page, page.getByRole("region", { name: "Install a package" }), `${PLUGIN}.tar.gz`, archive);
      await page.getByText(`${PLUGIN} is installed. Start it now.`).waitFor();
      await press(page, "Start");
      await page.getByText("running").waitFor();

      await page.getByRole("link", { name: `Details of ${PLUGIN}` }).click();
      await page.getByText("Nothing was changed yet.").waitFor();
      assert.equal(new URL(page.url()).hash, `#/plugins/detail/${PLUGIN}`);
      if (configure !== undefined) {
        await configure(t, page);
        await press(page, "Test connection");
        await page.getByText("The connection works.").waitFor();
        await press(page, "Save and apply");
        await page.getByText("The configuration is saved, and in use.").waitFor();
      }

      await page.getByRole("navigation").getByRole("link", { name: "Try it" }).click();
      await press(page, "Publish three messages");
      await page.getByText("All three are acknowledged: they are stored").waitFor();
      await page.getByRole("navigation").getByRole("link", { name: "Offline messages" }).click();
      await page.getByRole("link", { name: "t/2" }).waitFor();
      await page.getByRole("navigation").getByRole("link", { name: "Try it" }).click();
      await press(page, "Publish three messages");
      await page.getByText("All three are acknowledged: they are stored").waitFor();
      await press(page, "Subscribe as first");
      await page
        .getByText(/^Arrived, in order: hello-from-offline1, hello-from-offline2, hello-from-offline3/)
        .waitFor();
      await press(page, "Subscribe as second");
      await page.getByText("Nothing more arrived in 2 seconds").waitFor();
      assert.deepEqual(problems, []);
    });
  }
});
