// The dashboard in Chromium: signing in, sessions that end, plugins, and the form that a plugin's schema draws.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { NAME, packageOf, sampleFiles } from "../management/plugins/sample-package.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  accessibilityProblems,
  dropFile,
  openSignedIn,
  overhang,
  PASSWORD,
  signIn,
  startDashboard,
} from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const PLUGIN = "emqx_offline_message_plugin-0.1.0";

test("signing in, wrong and right, and out", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page, problems } = await browser.open(t);
  await page.goto(`${broker.url}/#/plugins/detail/${PLUGIN}`);
  await page.locator("#username:focus").waitFor();
  await page.keyboard.type("admin");
  await page.locator("#password").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("The username or the password is wrong.").waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
  await signIn(page);
  await page.locator("main:focus").getByRole("heading", { name: PLUGIN }).waitFor();
  await page.getByRole("button", { name: "Account of admin" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.locator("#username").waitFor();
  await page.goto(`${broker.url}/#/plugins`);
  await page.locator("#username").waitFor();
  assert.equal(broker.accounts.tokens.size, 0);
  assert.deepEqual(problems, []);
});

test("a session that ends loses nothing that was typed", { skip }, async (t) => {
  const clock = { now: 0 };
  const broker = await startDashboard(t, { accountsParts: { now: () => clock.now } });
  const { page, problems } = await openSignedIn(t, browser, broker, `/plugins/detail/${PLUGIN}`);
  const limit = page.locator('[data-path="sqlite.max_messages"] input');
  await limit.fill("4711");
  await limit.blur();
  clock.now += 4_000_000;
  await page.getByRole("button", { name: "Save and apply" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByText("Your session has ended.").waitFor();
  assert.equal(await dialog.locator("#username").inputValue(), "admin");
  await dialog.locator("#password:focus").waitFor();
  await dialog.locator("#password").fill(PASSWORD);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("The configuration is saved, and in use.").waitFor();
  assert.equal(await limit.inputValue(), "4711");
  const { body } = await broker.ask({ path: `/plugins/${PLUGIN}/config` });
  assert.equal((body as { sqlite: { max_messages: number } }).sqlite.max_messages, 4711);
  assert.deepEqual(problems, []);
});

test("a password is changed", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page } = await openSignedIn(t, browser, broker);
  await page.getByRole("button", { name: "Account of admin" }).click();
  await page.getByRole("menuitem", { name: "Change password" }).click();
  await page.locator("#old-password").fill(PASSWORD);
  await page.locator("#new-password").fill("another-1");
  await page.locator("#new-password-again").fill("another-2");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The two new passwords differ.").waitFor();
  await page.locator("#new-password-again").fill("another-1");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#username").waitFor();
  await signIn(page, "admin", "another-1");
});

test("a package is dropped, started, stopped and uninstalled", { skip }, async (t) => {
  const broker = await startDashboard(t, { builtIn: undefined });
  const { page, problems } = await openSignedIn(t, browser, broker, "/plugins");
  await page.getByText("No plugin is installed.").waitFor();
  const drop = (name: string): Promise<void> =>
    dropFile(page, page.getByRole("region", { name: "Install a package" }), name, packageOf(sampleFiles()));
  await drop("nonsense.zip");
  await page.getByText("(BAD_PLUGIN_INFO)").waitFor();
  await drop(`${NAME}.tar.gz`);
  await page.getByText(`omp plugins allow ${NAME}`).waitFor();
  await broker.ask({ method: "POST", path: `/plugins/${NAME}/allow`, isLocal: true });
  await drop(`${NAME}.tar.gz`);
  await page.getByText(`${NAME} is installed. Start it now.`).waitFor();
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByText("running").waitFor();
  await page.getByText(`${NAME} is installed. Start it now.`).waitFor({ state: "detached" });
  assert.deepEqual(await accessibilityProblems(page), []);
  await drop("nonsense.zip");
  await page.getByText("(BAD_PLUGIN_INFO)").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("(BAD_PLUGIN_INFO)").waitFor({ state: "detached" });
  await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
  await page.getByText("stopped").waitFor();
  await page.getByRole("button", { name: "Uninstall" }).click();
  const dialog = page.getByRole("dialog");
  assert.equal(await dialog.getByRole("button", { name: "Uninstall" }).isDisabled(), true);
  await dialog.locator("#confirm-word").fill(NAME);
  await dialog.getByRole("button", { name: "Uninstall" }).click();
  await page.getByText("No plugin is installed.").waitFor();
  assert.deepEqual(problems, []);
});

test("the form says what is wrong at its field, shows the difference, tests, saves, exports and imports", {
  skip,
}, async (t) => {
  const broker = await startDashboard(t);
  const { page, problems } = await openSignedIn(t, browser, broker, `/plugins/detail/${PLUGIN}`);
  const field = (path: string) => page.locator(`[data-path="${path}"]`);
  await page.getByText("Nothing was changed yet.").waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);

  await field("sqlite.topics").getByRole("button", { name: "+ Add" }).click();
  await field("sqlite.topics").locator("input:focus").waitFor();
  await page.keyboard.type("a/#/b");
  await field("redis.password").locator("input").fill("hidden-1");
  const changes = page.getByRole("region", { name: "What will change" });
  assert.match(await changes.innerText(), /Topics sqlite\.topics\s+\["#"\] → \["#","a\/#\/b"\]/);
  assert.doesNotMatch(await changes.innerText(), /hidden-1/);
  await page.getByRole("button", { name: "Save and apply" }).click();
  await field("sqlite.topics").locator(".el-form-item__error").waitFor();
  await field("sqlite.topics").getByRole("button", { name: "Remove a/#/b" }).click();

  await field("redis.servers").locator("input").fill("");
  await page.getByRole("button", { name: "Save and apply" }).click();
  await field("redis.servers").getByText("A value is needed here.").waitFor();
  await field("redis.servers").locator("input").fill("127.0.0.1:1");
  await page.getByRole("button", { name: "Test connection" }).click();
  await page.getByText("The connection works.").waitFor();
  await field("sqlite.enable").locator(".el-switch__core").click();
  await field("redis.enable").locator(".el-switch__core").click();
  await page.getByRole("button", { name: "Test connection" }).click();
  await page.getByText("(BAD_CONFIG)").waitFor();
  await page.getByRole("button", { name: "Undo the changes" }).click();
  await page.getByText("Nothing was changed yet.").waitFor();

  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export as JSON" }).click();
  const directory = temporaryDirectory(t);
  const file = join(directory, "config.json");
  await (await download).saveAs(file);
  const config = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(config.mysql.password, "******");
  writeFileSync(file, JSON.stringify({ sqlite: { max_messages: 99 } }));
  await page.locator('input[type="file"]').setInputFiles(file);
  await page.getByText("config.json is in the form. Nothing is saved yet.").waitFor();
  await page.getByRole("button", { name: "Save and apply" }).click();
  await page.getByText("The configuration is saved, and in use.").waitFor();
  await waitFor(
    async () => {
      const { body } = await broker.ask({ path: `/plugins/${PLUGIN}/config` });
      return (body as { sqlite: { max_messages: number } }).sqlite.max_messages === 99;
    },
    { what: "the limit" },
  );
  writeFileSync(file, JSON.stringify({ sqlite: { no_such_key: 1 } }));
  await page.locator('input[type="file"]').setInputFiles(file);
  await page.getByText("keys that this plugin does not know: sqlite.no_such_key").waitFor();
  assert.deepEqual(problems, []);
});

test("what fails is told beside the buttons, which stay in view with the menu", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page } = await openSignedIn(t, browser, broker, `/plugins/detail/${PLUGIN}`);
  const field = (path: string) => page.locator(`[data-path="${path}"]`);
  const bar = page.getByRole("region", { name: "What will change" });
  // What is in use comes first.
  assert.equal(await page.locator("fieldset legend").first().innerText(), "SQLite");
  await field("sqlite.enable").locator(".el-switch__core").click();
  await field("redis.enable").locator(".el-switch__core").click();
  await field("redis.topics").getByRole("button", { name: "+ Add" }).click();
  await field("redis.servers").locator("input").fill("127.0.0.1:1");
  await page.getByRole("button", { name: "Test connection" }).click();
  await bar.getByRole("alert").filter({ hasText: "127.0.0.1:1" }).waitFor();
  for (const shown of [bar.getByRole("alert"), page.locator("header.top"), page.locator("nav.side a").first()]) {
    const { y = -1, height = 0 } = (await shown.boundingBox()) ?? {};
    assert.ok(y >= 0 && y + height <= 800, `at ${y}, ${height} high`);
  }
  assert.equal(await page.evaluate("scrollY > 0"), true);
  assert.deepEqual(await accessibilityProblems(page), []);

  // The item that was added and not filled in is gone, and several wrong values are counted.
  assert.equal(await field("redis.topics").getByRole("textbox").count(), 0);
  await field("redis.servers").locator("input").fill("");
  await field("mysql.server").locator("input").fill("");
  await page.getByRole("button", { name: "Save and apply" }).click();
  await bar.getByText("Wrong values: 2. They are marked at their fields above.").waitFor();
  await page.evaluate("scrollTo(0, 0)");
  await bar.getByRole("button", { name: "Show the first" }).click();
  await page.waitForFunction("scrollY > 0");
  await page.getByRole("button", { name: "Undo the changes" }).click();

  await field("sqlite.max_messages").locator("input").fill("5");
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Save and apply" }).click();
  await bar.getByRole("alert").filter({ hasText: "The broker cannot be reached." }).waitFor();
});

test("what was saved elsewhere meanwhile is kept, and what both changed is shown before it is replaced", {
  skip,
}, async (t) => {
  const broker = await startDashboard(t);
  const [{ page: one }, { page: other }] = [
    await openSignedIn(t, browser, broker, `/plugins/detail/${PLUGIN}`),
    await openSignedIn(t, browser, broker, `/plugins/detail/${PLUGIN}`),
  ];
  const set = async (page: Page, name: string, value: string) => {
    const input = page.locator(`[data-path="sqlite.${name}"] input`);
    await input.fill(value);
    await input.blur();
  };
  const save = (page: Page) => page.getByRole("button", { name: "Save and apply" }).click();
  const kept = async () => {
    const { body } = await broker.ask({ path: `/plugins/${PLUGIN}/config` });
    const { max_messages, message_ttl } = (body as { sqlite: Record<string, number> }).sqlite;
    return { max_messages, message_ttl };
  };
  await other.locator('[data-path="sqlite.max_messages"] input').waitFor();
  await set(one, "max_messages", "4711");
  await save(one);
  await one.getByText("The configuration is saved, and in use.").waitFor();
  await set(other, "message_ttl", "77");
  await save(other);
  await other.getByText("Changed elsewhere meanwhile, and kept: sqlite.max_messages.").waitFor();
  assert.deepEqual(await kept(), { max_messages: 4711, message_ttl: 77 });

  await set(one, "message_ttl", "88");
  await save(one);
  await one.getByText("Not saved: these were also changed elsewhere meanwhile: sqlite.message_ttl.").waitFor();
  const changes = await one.getByRole("region", { name: "What will change" }).innerText();
  assert.match(changes, /sqlite\.message_ttl\s+77 → 88\s*also changed elsewhere meanwhile/);
  assert.deepEqual(await kept(), { max_messages: 4711, message_ttl: 77 });

  // The page asks nothing once all is saved, even while it loads what the broker has made of it.
  let isSaved = false;
  await one.route("**/config", async (route) => {
    if (isSaved) return;
    isSaved = route.request().method() === "PUT";
    await route.continue();
  });
  const questions: string[] = [];
  one.on("dialog", (dialog) => {
    questions.push(dialog.message());
    return dialog.accept();
  });
  await save(one);
  await one.getByText("Nothing was changed yet.").waitFor();
  assert.deepEqual(await kept(), { max_messages: 4711, message_ttl: 88 });
  await one.getByRole("navigation").getByRole("link", { name: "Plugins" }).click();
  await one.getByRole("heading", { name: "Plugins" }).waitFor();
  assert.deepEqual(questions, []);
});

test("while the plugin is stopped, pages lead to where it is started", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page, problems } = await openSignedIn(t, browser, broker, "/offline-messages");
  await page.getByText("Nothing is stored.").waitFor();
  await broker.ask({ method: "PUT", path: `/plugins/${PLUGIN}/stop` });
  await page.getByText("The plugin is stopped: nothing is stored meanwhile").waitFor();
  for (const name of ["Export", "Purge …", "Import …"]) {
    assert.equal(await page.getByRole("button", { name }).first().isDisabled(), true, name);
  }
  await page.getByRole("button", { name: "Show", exact: true }).click();
  assert.equal(await page.getByText("(NOT_FOUND)").count(), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("navigation").getByRole("link", { name: "Overview" }).click();
  await page.getByRole("link", { name: "Start it under Plugins" }).click();
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByText("running").waitFor();
  await page.getByRole("navigation").getByRole("link", { name: "Offline messages" }).click();
  await page.getByText("Nothing is stored.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Export" }).isDisabled(), false);
  assert.deepEqual(problems, []);
});

test("a viewer changes nothing", { skip }, async (t) => {
  const broker = await startDashboard(t);
  await broker.accounts.users.add({ username: "eve", password: PASSWORD, role: "viewer" });
  const { page } = await openSignedIn(t, browser, broker, "/plugins", { username: "eve" });
  await page.getByText("As a viewer you can read here").waitFor();
  await page.getByText("running").waitFor();
  assert.equal(await page.getByRole("button", { name: "Stop" }).count(), 0);
  await page.goto(`${broker.url}/#/plugins/detail/${PLUGIN}`);
  await page.locator('[data-path="sqlite.max_messages"] input').waitFor();
  assert.equal(await page.locator('[data-path="sqlite.max_messages"] input').isDisabled(), true);
  assert.equal(await page.getByRole("button", { name: "Save and apply" }).count(), 0);
});

test("in Chinese, dark, and 375 pixels wide", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const narrow = { locale: "zh-CN", colorScheme: "dark", viewport: { width: 375, height: 740 } } as const;
  const { page, problems } = await openSignedIn(t, browser, broker, "/plugins", narrow);
  await page.getByRole("heading", { name: "插件" }).waitFor();
  await page.getByText("运行中").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("button", { name: "打开菜单" }).click();
  await page.getByRole("dialog").getByRole("link", { name: "插件" }).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "关闭菜单" }).waitFor();
  await page.keyboard.press("Escape");
  await page.goto(`${broker.url}/#/plugins/detail/${PLUGIN}`);
  await page.getByText("将消息存储在 MySQL 或 MariaDB 中。").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.deepEqual(problems, []);
});
