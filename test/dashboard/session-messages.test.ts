// What waits for a client and what is in flight to it, on the client's page in Chromium.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import type { PluginBroker } from "../management/plugins/plugin-broker.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { waitFor } from "../support/wait-for.ts";
import { accessibilityProblems, openSignedIn, overhang, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const HTML = "<script>alert(1)</script>";
const PAGE_SIZE = 20;
const KIB = 1024;

/** None of the messages is stored: what waits for a client waits in its session only. */
function start(scope: TestContext): Promise<PluginBroker> {
  return startDashboard(scope, { builtIn: builtInPlugin('sqlite { enable = true, topics = ["stored/#"] }') });
}

function connect(scope: TestContext, broker: PluginBroker, receiveMaximum: number, acknowledges: boolean) {
  return connectClient(scope, broker.address, {
    clientId: "sensor",
    clean: false,
    properties: { sessionExpiryInterval: 3600, receiveMaximum },
    ...(acknowledges ? undefined : { customHandleAcks: () => {} }),
  });
}

/** The client sensor, which is away and for which these wait. */
async function withQueue(scope: TestContext, broker: PluginBroker, payloads: readonly (string | Buffer)[]) {
  const { client, end } = await connect(scope, broker, 10, true);
  await client.subscribeAsync("t/#", { qos: 1 });
  await end();
  const isAway = async () => {
    const { body } = await broker.ask({ path: "/clients/sensor" });
    return (body as { connected: boolean }).connected === false;
  };
  await waitFor(isAway, { what: "sensor to be away" });
  const publisher = await connectClient(scope, broker.address, { clientId: "pump" });
  for (const [at, payload] of payloads.entries()) await publisher.client.publishAsync(`t/${at}`, payload, { qos: 1 });
}

const WAITING = "Waiting in its queue";
const IN_FLIGHT = "In flight: sent, not acknowledged";

/** The topics in one of the tables. */
function topics(page: Page, table: string): Promise<string[]> {
  return page.getByRole("region", { name: table }).locator("tbody td:nth-child(2)").allInnerTexts();
}

function untilTopics(page: Page, table: string, expected: readonly string[]): Promise<unknown> {
  const isThere = async () => String(await topics(page, table)) === String(expected);
  return waitFor(isThere, { what: `${expected} in ${table}`, timeout: 60_000 });
}

test("what waits comes in pages, and follows what is sent", { skip }, async (t) => {
  const broker = await start(t);
  const payloads = Array.from({ length: 2 * PAGE_SIZE + 5 }, (_, number) => `payload ${number}`);
  await withQueue(t, broker, payloads);
  const all = payloads.map((_, number) => `t/${number}`);
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients/sensor");
  await untilTopics(page, WAITING, all.slice(0, PAGE_SIZE));
  await page.getByText("Nothing is in flight to it.").waitFor();
  const next = page.getByRole("button", { name: "Next page" });
  await next.click();
  await untilTopics(page, WAITING, all.slice(PAGE_SIZE, 2 * PAGE_SIZE));
  await next.click();
  await untilTopics(page, WAITING, all.slice(2 * PAGE_SIZE));
  assert.equal(await next.isDisabled(), true);
  assert.deepEqual(await accessibilityProblems(page), []);

  const slow = await connect(t, broker, 3, false);
  await untilTopics(page, IN_FLIGHT, all.slice(0, 3));
  // Of what waits, the last page is still the one that is shown.
  assert.deepEqual(await topics(page, WAITING), all.slice(2 * PAGE_SIZE));
  assert.deepEqual(await accessibilityProblems(page), []);
  await slow.end();

  const back = await connect(t, broker, 100, true);
  await back.received(payloads.length);
  await page.getByText("Nothing waits in its queue.").waitFor();
  await page.getByText("Nothing is in flight to it.").waitFor();
  assert.deepEqual(problems, []);
});

test("a message is shown with its payload, which has come with its page", { skip }, async (t) => {
  const broker = await start(t);
  await withQueue(t, broker, [HTML, '{"a":[1]}', Buffer.from([0, 0xff]), ""]);
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients/sensor");
  const messages = page.getByRole("button", { name: /^Show message/ });
  await messages.nth(3).waitFor();
  const table = page.getByRole("region", { name: WAITING });
  assert.deepEqual(await table.locator("tbody td:nth-child(3)").allInnerTexts(), ["pump", "pump", "pump", "pump"]);
  assert.deepEqual(await table.locator("tbody td:nth-child(6)").allInnerTexts(), ["25 B", "9 B", "2 B", "0 B"]);
  const dialog = page.getByRole("dialog");
  const payload = dialog.getByRole("region", { name: "Payload" });
  const close = async (): Promise<void> => {
    await dialog.getByRole("button", { name: "Close", exact: true }).click();
    await dialog.waitFor({ state: "hidden" });
  };
  // Nothing is asked for when a message is looked at: it may have left by then.
  await page.context().setOffline(true);
  await messages.nth(0).press("Enter");
  await payload.getByText(HTML).waitFor();
  assert.doesNotMatch(await dialog.locator("dl").innerText(), /Expiry|Retain/);
  assert.equal(await dialog.getByRole("button", { name: "Delete" }).count(), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  const download = page.waitForEvent("download");
  await dialog.getByRole("button", { name: "Download" }).click();
  assert.equal(readFileSync(await (await download).path(), "utf8"), HTML);
  await page.context().setOffline(false);
  const back = await connect(t, broker, 100, true);
  await back.received(4);
  // The table goes when it is empty; the dialog does not.
  await page.getByText("Nothing waits in its queue.").waitFor();
  await payload.getByText(HTML).waitFor();
  await close();
  assert.deepEqual(problems, []);
});

test("a page has no more payload than it can hold, and at least one message", { skip }, async (t) => {
  const broker = await start(t);
  await withQueue(t, broker, ["x".repeat(300 * KIB), "y".repeat(200 * KIB), "z".repeat(100 * KIB), "small"]);
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients/sensor");
  const next = page.getByRole("button", { name: "Next page" });
  await untilTopics(page, WAITING, ["t/0"]);
  await next.click();
  await untilTopics(page, WAITING, ["t/1"]);
  await next.click();
  await untilTopics(page, WAITING, ["t/2", "t/3"]);
  assert.equal(await next.isDisabled(), true);
  assert.deepEqual(problems, []);
});

test("in Chinese, dark, and 375 pixels wide", { skip }, async (t) => {
  const broker = await start(t);
  await withQueue(t, broker, ["x".repeat(2000), "y"]);
  await connect(t, broker, 1, false);
  const narrow = { locale: "zh-CN", colorScheme: "dark", viewport: { width: 375, height: 740 } } as const;
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients/sensor", narrow);
  const inFlight = "飞行窗口：已发送，未确认";
  await untilTopics(page, inFlight, ["t/0"]);
  await untilTopics(page, "队列中等待的消息", ["t/1"]);
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("region", { name: inFlight }).getByRole("button").click();
  await page.getByRole("dialog").getByText("xxx").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.deepEqual(problems, []);
});
