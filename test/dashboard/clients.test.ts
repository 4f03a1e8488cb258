// The pages of clients in Chromium: who is connected or away, found and paged, one of them looked at, subscribed and kicked.

import assert from "node:assert/strict";
import { after, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import type { PluginBroker } from "../management/plugins/plugin-broker.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { connectClient, type TestClient } from "../support/mqtt-client.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { accessibilityProblems, isWhole, openSignedIn, overhang, PASSWORD, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const HTML = '<img src=x onerror="document.title=1">/..';

/** A client whose session stays. */
function connect(scope: TestContext, broker: PluginBroker, clientId: string, protocolVersion: 4 | 5 = 5) {
  const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : undefined;
  return connectClient(scope, broker.address, {
    clientId,
    protocolVersion,
    clean: false,
    keepalive: 45,
    ...properties,
  });
}

async function leave(broker: PluginBroker, clientId: string, client: TestClient): Promise<void> {
  await client.end();
  await waitFor(async () => !(await found(broker, clientId))?.connected, { what: `${clientId} to be away` });
}

async function found(broker: PluginBroker, clientId: string): Promise<Record<string, unknown> | undefined> {
  const { body } = await broker.ask({ path: `/clients?clientid=${encodeURIComponent(clientId)}` });
  return (body as { data: Record<string, unknown>[] }).data[0];
}

async function subscriptionsOf(broker: PluginBroker, clientId: string): Promise<unknown> {
  const { body } = await broker.ask({ path: `/subscriptions?clientid=${encodeURIComponent(clientId)}` });
  return (body as { data: unknown }).data;
}

const row = (page: Page, text: string) => page.getByRole("row").filter({ hasText: text });

test("clients are shown, connected and away, and found by id and state", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients");
  await page.getByText("No client is connected, and no session is kept.").waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
  const here = await connect(t, broker, "sensor-here");
  await here.client.subscribeAsync("t/#", { qos: 1 });
  const away = await connect(t, broker, "sensor-away", 4);
  await away.client.subscribeAsync("t/#", { qos: 1 });
  await leave(broker, "sensor-away", away);
  await connect(t, broker, "pump");
  await here.client.publishAsync("t/1", "waits for the one away", { qos: 1 });
  await page.goto(`${broker.url}/#/clients?part=sensor`);
  await page.getByText("Clients and kept sessions: 2").waitFor();

  const cells = await row(page, "sensor-away").getByRole("cell").allInnerTexts();
  assert.deepEqual(
    [cells[0], cells[1], ...cells.slice(4)],
    ["sensor-away", "away", "MQTT 3.1.1", "45 s", "1", "1", "0"],
  );
  assert.match(cells[3] ?? "", /^127\.0\.0\.1:\d+$/);
  assert.match((await row(page, "sensor-away").locator("time").getAttribute("title")) ?? "", /\d{4}/);
  assert.match(await row(page, "sensor-here").innerText(), /connected.*MQTT 5\.0/s);
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.equal(await isWhole(page), true);

  await page.getByRole("radio", { name: "away" }).check({ force: true });
  await page.getByText("Clients and kept sessions: 1").waitFor();
  await row(page, "sensor-away").waitFor();
  await page.locator("#client-part").fill("pump");
  await page.keyboard.press("Enter");
  await page.getByText("No client is like this.").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByText("Clients and kept sessions: 3").waitFor();
  await row(page, "pump").waitFor();
  assert.deepEqual(problems, []);
});

test("many clients come in pages", { skip }, async (t) => {
  const broker = await startDashboard(t);
  for (let number = 10; number < 31; number += 1) await connect(t, broker, `many-${number}`);
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients");
  await page.getByText("Page 1 of 2").waitFor();
  assert.equal(await page.getByRole("button", { name: "Previous page" }).isDisabled(), true);
  const first = await page.getByRole("link", { name: /^many-/ }).allInnerTexts();
  await page.getByRole("button", { name: "Next page" }).click();
  await page.getByText("Page 2 of 2").waitFor();
  await waitFor(async () => (await page.getByRole("link", { name: /^many-/ }).count()) === 1, { what: "the last one" });
  const second = await page.getByRole("link", { name: /^many-/ }).allInnerTexts();
  assert.equal(new Set([...first, ...second]).size, 21);
  assert.equal(await page.getByRole("button", { name: "Next page" }).isDisabled(), true);
  assert.deepEqual(problems, []);
});

test("a client is looked at, subscribed, unsubscribed and kicked, whatever its id looks like", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const client = await connect(t, broker, HTML);
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients");
  await page.getByRole("link", { name: HTML }).click();
  await page.getByRole("heading", { name: HTML }).waitFor();
  await page.getByText("It has no subscriptions. Subscribe for it below.").waitFor();
  assert.match(await page.locator("dl").innerText(), /In flight\s+0 of at most 32/);
  assert.match(await page.locator("dl").innerText(), /Session expiry\s+3,600 s after the connection/);
  assert.deepEqual(await accessibilityProblems(page), []);

  const topic = page.getByLabel("Topic filter");
  const button = page.getByRole("button", { name: "Subscribe", exact: true });
  assert.equal(await button.isDisabled(), true);
  await topic.fill("a/#/b");
  await button.click();
  await page.getByText("(INVALID_PARAMETER)").waitFor();
  await topic.fill("<b>t</b>/#");
  await page.getByRole("radio", { name: "QoS 2" }).check({ force: true });
  await page.getByRole("checkbox", { name: "No Local" }).press("Space");
  await page.getByRole("checkbox", { name: "Retain As Published" }).press("Space");
  await page.getByRole("combobox", { name: "Retain Handling" }).press("Enter");
  await page.getByRole("option", { name: "Send no retained messages" }).click();
  await button.click();
  await page.getByText("It is subscribed to <b>t</b>/#.").waitFor();
  await row(page, "<b>t</b>/#").waitFor();
  const [made] = (await subscriptionsOf(broker, HTML)) as Record<string, unknown>[];
  const { qos, nl, rap, rh } = made ?? {};
  assert.deepEqual({ qos, nl, rap, rh }, { qos: 2, nl: 1, rap: 1, rh: 2 });
  await page.getByText("1 of at most 10,000").waitFor();
  const publisher = await connectClient(t, broker.address);
  await publisher.client.publishAsync("<b>t</b>/1", "for it", { qos: 1 });
  await client.received(1);
  assert.deepEqual(await accessibilityProblems(page), []);

  await page.getByRole("button", { name: "Unsubscribe from <b>t</b>/#" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Unsubscribe" }).click();
  await page.getByText("It has no subscriptions. Subscribe for it below.").waitFor();
  assert.deepEqual(await subscriptionsOf(broker, HTML), []);

  await page.getByRole("button", { name: "Kick" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal(client.client.connected, true);
  await page.getByRole("button", { name: "Kick" }).click();
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("dialog").getByRole("button", { name: "Kick" }).click();
  await page.getByText("It was kicked: its session has ended.").waitFor();
  await within(client.closed, { what: "the connection to be closed" });
  assert.equal(await found(broker, HTML), undefined);
  await page.getByRole("link", { name: "All clients" }).click();
  await page.getByRole("heading", { name: "Clients" }).waitFor();
  assert.equal(await page.title(), "MQTT offline messages");
  assert.deepEqual(problems, []);
});

test("a question goes with its page, and nothing is done", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const client = await connect(t, broker, "sensor");
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients");
  await page.getByRole("link", { name: "sensor" }).click();
  await page.getByRole("button", { name: "Kick" }).click();
  await page.getByRole("dialog", { name: "Kick sensor?" }).waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "Clients" }).waitFor();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await page.getByRole("link", { name: "sensor" }).click();
  await page.getByRole("button", { name: "Kick" }).waitFor();
  assert.equal(client.client.connected, true);
  assert.deepEqual(problems, []);
});

test("many subscriptions come in pages", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { client } = await connect(t, broker, "many");
  await client.subscribeAsync(Array.from({ length: 51 }, (_, index) => `t/${index}`));
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients/many");
  await page.getByText("Page 1 of 2").waitFor();
  assert.equal(await page.getByRole("row").count(), 51);
  await page.getByRole("button", { name: "Next page" }).click();
  await page.getByRole("button", { name: "Unsubscribe from t/50" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Unsubscribe" }).click();
  await page.getByText("Page 2 of").waitFor({ state: "detached" });
  await row(page, "t/49").waitFor();
  assert.equal(await page.getByRole("row").count(), 51);
  assert.deepEqual(problems, []);
});

test("a client away is subscribed for when it is back, and one before MQTT 5 has no options", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const client = await connect(t, broker, "old", 4);
  await leave(broker, "old", client);
  const publisher = await connectClient(t, broker.address);
  await publisher.client.publishAsync("t/1", "stored", { qos: 1 });
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients/old");
  await page.getByText("away", { exact: true }).waitFor();
  await page.getByLabel("Topic filter").fill("t/1");
  assert.equal(await page.getByRole("checkbox", { name: "No Local" }).count(), 0);
  await page.getByLabel("Topic filter").press("Enter");
  await row(page, "t/1").waitFor();
  const back = await connect(t, broker, "old", 4);
  await back.received(1);
  assert.deepEqual(back.payloads, ["stored"]);
  await page.getByText("connected", { exact: true }).waitFor();
  await page.goto(`${broker.url}/#/clients/nobody`);
  await page.getByText("This client is not connected, and has no session.").waitFor();
  assert.deepEqual(problems, []);
});

test("a viewer looks and changes nothing", { skip }, async (t) => {
  const broker = await startDashboard(t);
  await broker.accounts.users.add({ username: "eve", password: PASSWORD, role: "viewer" });
  const { client } = await connect(t, broker, "sensor");
  await client.subscribeAsync("t/1");
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients", { username: "eve" });
  await page.getByRole("link", { name: "sensor" }).click();
  await row(page, "t/1").waitFor();
  for (const name of [/Kick/, /Subscribe/, /Unsubscribe/]) {
    assert.equal(await page.getByRole("button", { name }).count(), 0, String(name));
  }
  assert.deepEqual(problems, []);
});

test("a broker that cannot be reached is told, and that it is back", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page } = await openSignedIn(t, browser, broker, "/clients");
  await page.getByText("No client is connected").waitFor();
  await page.context().setOffline(true);
  await page.getByText("The broker cannot be reached.").waitFor();
  await page.context().setOffline(false);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("The broker cannot be reached.").waitFor({ state: "detached" });
});

test("in Chinese, dark, and 375 pixels wide", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { client } = await connect(t, broker, "x".repeat(200));
  await client.subscribeAsync("y".repeat(400), { qos: 1 });
  const narrow = { locale: "zh-CN", colorScheme: "dark", viewport: { width: 375, height: 740 } } as const;
  const { page, problems } = await openSignedIn(t, browser, broker, "/clients", narrow);
  await page.getByText("客户端和保留的会话：1").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("link", { name: "xxx" }).click();
  await page.getByRole("button", { name: "踢除" }).waitFor();
  await row(page, "yyy").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("button", { name: "踢除" }).click();
  await page.getByRole("dialog").getByText("其连接将被关闭").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.deepEqual(problems, []);
});
