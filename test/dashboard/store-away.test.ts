// A store that goes away and comes back, on the pages that ask it: a real Redis that is ended and started again.

import assert from "node:assert/strict";
import { after, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import type { MessageBroker } from "../management/offline-messages/message-broker.ts";
import { chromiumMissing, type OpenPage, startChromium } from "../support/chromium.ts";
import { redisConfiguration, redisSkip, startSingle } from "../support/redis.ts";
import type { RedisServer } from "../support/redis-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { accessibilityProblems, openSignedIn, startMessageDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? redisSkip("single");
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const PLUGIN = "emqx_offline_message_plugin-0.1.0";
/** What failed, and what to do. */
const AWAY = /Redis at 127\.0\.0\.1:\d+ cannot be reached \(.*\): start it/;

interface Setting extends Pick<OpenPage, "page" | "problems"> {
  readonly broker: MessageBroker;
  readonly redis: RedisServer;
}

/** A broker that stores in Redis, with two messages in it, and a page that is signed in. */
async function withRedis(scope: TestContext, path: string): Promise<Setting> {
  const { place, servers } = await startSingle(scope);
  const config = `${redisConfiguration(place)}\nstore_timeout = 1000\nsqlite.enable = false`;
  const broker = await startMessageDashboard(scope, config);
  for (const payload of ["first", "second"]) {
    await broker.publisher.client.publishAsync("t/1", payload, { qos: 1 });
  }
  const { page, problems } = await openSignedIn(scope, browser, broker, path);
  return { broker, redis: servers[0] as RedisServer, page, problems };
}

const away = (page: Page) => page.getByRole("alert").filter({ hasText: AWAY });

/** Starts Redis again, waits until the broker has found it, and has the page ask once more. */
async function comeBack({ broker, redis, page }: Setting): Promise<void> {
  await redis.restart();
  await waitFor(async () => (await broker.get("/topics")).status === 200, { what: "the store", timeout: 60_000 });
  await page.getByRole("button", { name: "Try again" }).click();
}

test("the pages of plugins tell why the store does not work, and that it does again", { skip }, async (t) => {
  const { broker, redis, page, problems } = await withRedis(t, "/plugins");
  await page.getByText("works", { exact: true }).waitFor();
  await redis.kill();
  await page.getByRole("status").filter({ hasText: AWAY }).waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
  await redis.restart();
  await page.getByText("works", { exact: true }).waitFor();

  await page.goto(`${broker.url}/#/plugins/detail/${PLUGIN}`);
  await page.getByRole("heading", { name: PLUGIN }).waitFor();
  await page.getByText("works", { exact: true }).waitFor();
  const limit = page.locator('[data-path="sqlite.max_messages"] input');
  await limit.fill("4711");
  await redis.kill();
  await away(page).waitFor();
  await page.getByText("works", { exact: true }).waitFor({ state: "detached" });
  assert.deepEqual(await accessibilityProblems(page), []);
  await redis.restart();
  await page.getByText("works", { exact: true }).waitFor();
  await away(page).waitFor({ state: "detached" });
  // What was typed meanwhile is still there.
  assert.equal(await limit.inputValue(), "4711");
  assert.deepEqual(problems, []);
});

test("what is stored cannot be shown for a while, and is shown again without a reload", { skip }, async (t) => {
  const setting = await withRedis(t, "/offline-messages");
  const { broker, redis, page, problems } = setting;
  await page.getByRole("link", { name: "t/1" }).waitFor();
  await redis.kill();
  await page.getByRole("button", { name: "Reload" }).click();
  await away(page).waitFor();
  // What was there before stays to be read.
  assert.equal(await page.getByRole("link", { name: "t/1" }).isVisible(), true);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("button", { name: "Purge …" }).click();
  await away(page).nth(1).waitFor();
  await page.getByRole("link", { name: "t/1" }).click();
  await page.getByRole("heading", { name: "t/1" }).waitFor();
  await away(page).waitFor();
  assert.equal(await page.getByText("Nothing waits under this topic").count(), 0);
  await comeBack(setting);
  await page.getByText("Page 1").waitFor();
  assert.equal(await page.getByRole("button", { name: /^Show message/ }).count(), 2);

  await redis.kill();
  await page
    .getByRole("button", { name: /^Show message/ })
    .first()
    .click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(AWAY).waitFor();
  await comeBack(setting);
  await dialog.getByText("first", { exact: true }).waitFor();

  await page.goto(`${broker.url}/#/offline-messages?tab=subscriptions`);
  await page.getByText("This store cannot list its clients").waitFor();
  await redis.kill();
  await page.getByLabel("Client id").fill("nobody");
  await page.getByLabel("Client id").press("Enter");
  await away(page).waitFor();
  await comeBack(setting);
  await page.getByText("Nothing is stored for the client nobody.").waitFor();
  assert.deepEqual(problems, []);
});
