// The page "Try it" in Chromium: an MQTT client over WebSocket that shows how messages are stored, delivered once, and gone.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import type { PluginBroker, PluginBrokerOptions } from "../management/plugins/plugin-broker.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { waitFor } from "../support/wait-for.ts";
import { accessibilityProblems, openSignedIn, overhang, PASSWORD, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const PLUGIN = "emqx_offline_message_plugin-0.1.0";
const websocket = { mqttPath: "/over/here", maxFrameSize: 65_536, checkOriginEnable: true, checkOrigins: [] };
const overWebSocket = { ws: { host: "127.0.0.1", port: 0, websocket } };

function start(scope: TestContext, options: PluginBrokerOptions = {}): Promise<PluginBroker> {
  return startDashboard(scope, { broker: overWebSocket, ...options });
}

/** Of the messages that are stored. */
async function stored(broker: PluginBroker): Promise<string[]> {
  const { body } = await broker.ask({ path: "/offline_messages/messages" });
  return (body as { data: { topic: string }[] }).data.map(({ topic }) => topic);
}

async function clientIds(broker: PluginBroker): Promise<string[]> {
  const { body } = await broker.ask({ path: "/clients" });
  return (body as { data: { clientid: string }[] }).data.map(({ clientid }) => clientid);
}

const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();

/** Whether the page has loaded MQTT.js. */
async function isMqttLoaded(page: Page): Promise<boolean> {
  const urls = await page.evaluate<string[]>('performance.getEntriesByType("resource").map(({ name }) => name)');
  assert.ok(urls.some((url) => /TryItPage[\w.-]*\.js$/.test(url)));
  return urls.some((url) => /\/mqtt[\w.-]*\.js$/.test(url));
}

/** Payloads in the table of what was received, the newest first. */
async function received(page: Page): Promise<string[]> {
  return page.locator("td.payload").allInnerTexts();
}

test("three messages are stored, arrive in order, and are gone", { skip }, async (t) => {
  const broker = await start(t);
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it");
  assert.equal(await isMqttLoaded(page), false);
  await page.getByText("Nothing was received yet.").waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
  for (const name of ["Subscribe as first", "Subscribe as second"]) {
    assert.equal(await page.getByRole("button", { name }).isDisabled(), true);
  }
  await press(page, "Publish three messages");
  await page.getByText("All three are acknowledged: they are stored").waitFor();
  assert.equal(await isMqttLoaded(page), true);
  assert.deepEqual(await stored(broker), ["t/2", "t/2", "t/2"]);
  await press(page, "Subscribe as first");
  await page.getByText("Arrived, in order: hello-from-offline1, hello-from-offline2, hello-from-offline3.").waitFor();
  await waitFor(async () => (await stored(broker)).length === 0, { what: "the messages to be removed" });
  await press(page, "Subscribe as second");
  await page.getByText("Nothing more arrived in 2 seconds").waitFor();
  assert.deepEqual(await received(page), ["hello-from-offline3", "hello-from-offline2", "hello-from-offline1"]);
  assert.deepEqual(await accessibilityProblems(page), []);
  await waitFor(async () => (await clientIds(broker)).length === 0, { what: "the clients to be gone" });
  await waitFor(async () => (await broker.ask({ path: "/offline_messages/subscriptions/first" })).status === 404, {
    what: "no stored subscription to be left",
  });

  await press(page, "Publish three messages");
  await page.getByText("All three are acknowledged: they are stored").waitFor();
  assert.equal(await page.getByText("Arrived, in order").count(), 0);
  assert.deepEqual(problems, []);
});

test("whatever is published and subscribed to; HTML is text", { skip }, async (t) => {
  const broker = await start(t);
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it");
  const publish = page.getByRole("form", { name: "Publish" });
  const subscribe = page.getByRole("form", { name: "Subscribe" });
  await publish.getByLabel("Topic").fill("a/+");
  await publish.getByRole("button", { name: "Publish" }).click();
  await publish.getByText("A topic has at least one character, and neither + nor #.").waitFor();
  await subscribe.getByLabel("Topic filter").fill("a/#/b");
  await subscribe.getByRole("button", { name: "Subscribe", exact: true }).click();
  await subscribe.getByText("A topic filter has + and # only as whole levels").waitFor();

  const html = '<img src=x onerror="document.title=1">';
  await publish.getByLabel("Topic").fill("a/1");
  await publish.getByLabel("Payload").fill(html);
  await publish.getByRole("button", { name: "Publish" }).click();
  await publish.getByText("Acknowledged: a/1").waitFor();
  assert.deepEqual(await stored(broker), ["a/1"]);
  await subscribe.getByLabel("Topic filter").fill("a/+");
  await subscribe.getByLabel("Topic filter").press("Enter");
  await subscribe.getByRole("button", { name: "Unsubscribe from a/+" }).waitFor();
  await page.getByRole("cell", { name: html }).waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);

  const { client } = await connectClient(t, broker.address);
  await client.publishAsync("a/2", "x".repeat(5000), { qos: 2, retain: true });
  await page.getByRole("cell", { name: "a/2" }).waitFor();
  assert.deepEqual(await received(page), [`${"x".repeat(1000)}…`, html]);
  await press(page, "Clear the list");
  await page.getByText("Nothing was received yet.").waitFor();

  await publish.getByRole("radio", { name: "QoS 0" }).press("Space");
  await publish.getByRole("checkbox", { name: "Retain" }).press("Space");
  await publish.getByRole("button", { name: "Publish" }).click();
  await publish.getByText("Sent: a/1").waitFor();
  await page.getByRole("cell", { name: html }).waitFor();
  await subscribe.getByRole("button", { name: "Unsubscribe from a/+" }).click();
  await subscribe.getByText("Not subscribed to anything yet.").waitFor();
  await publish.getByRole("radio", { name: "QoS 2" }).press("Space");
  await publish.getByLabel("Topic").fill("a/3");
  await publish.getByRole("button", { name: "Publish" }).click();
  await publish.getByText("Acknowledged: a/3").waitFor();
  // What was received before is removed a moment later.
  await waitFor(async () => (await stored(broker)).join() === "a/3", { what: "a/3 alone to be stored" });
  assert.equal((await received(page)).length, 1);
  assert.equal(await page.title(), "MQTT offline messages");
  assert.deepEqual(problems, []);
});

test("the list keeps the last 200 messages", { skip }, async (t) => {
  const broker = await start(t);
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it");
  const subscribe = page.getByRole("form", { name: "Subscribe" });
  await subscribe.getByRole("button", { name: "Subscribe", exact: true }).click();
  await subscribe.getByRole("button", { name: "Unsubscribe from t/#" }).waitFor();
  const { client } = await connectClient(t, broker.address);
  for (let number = 1; number <= 450; number += 1) await client.publishAsync("t/1", `m-${number}`, { qos: 1 });
  await page.getByText("Received: 450. The last 200 are shown").waitFor();
  const payloads = await received(page);
  assert.deepEqual([payloads.length, payloads[0], payloads.at(-1)], [200, "m-450", "m-251"]);
  assert.deepEqual(problems, []);
});

test("what goes wrong is told with what to do", { skip }, async (t) => {
  const broker = await start(t);
  await broker.ask({ method: "PUT", path: `/plugins/${PLUGIN}/stop` });
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it");
  await press(page, "Publish three messages");
  await page.getByText("they were not stored: is the plugin running").waitFor();
  await press(page, "Subscribe as first");
  await page.getByText("None arrived. Is another client subscribed to t/2?").waitFor();
  const { client } = await connectClient(t, broker.address, { clientId: "second" });
  await press(page, "Subscribe as second");
  await page.getByText("A client called second has a session").waitFor();
  assert.equal(client.connected, true);

  const subscribe = page.getByRole("form", { name: "Subscribe" });
  await subscribe.getByRole("button", { name: "Subscribe", exact: true }).click();
  await subscribe.getByRole("button", { name: "Unsubscribe from t/#" }).waitFor();
  const [own = ""] = (await clientIds(broker)).filter((clientId) => clientId !== "first" && clientId !== "second");
  await broker.ask({ method: "DELETE", path: `/clients/${own}` });
  await subscribe.getByText("and with it these subscriptions: t/#.").waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
  await subscribe.getByRole("button", { name: "Subscribe again" }).click();
  await subscribe.getByRole("button", { name: "Unsubscribe from t/#" }).waitFor();
  await subscribe.getByText("these subscriptions").waitFor({ state: "detached" });
  await client.publishAsync("t/9", "stays", { qos: 0 });
  await page.getByRole("cell", { name: "t/9" }).waitFor();
  await page.locator("#publish-topic").fill("typed");
  await page.getByRole("navigation").getByRole("link", { name: "Overview" }).click();
  await waitFor(async () => (await clientIds(broker)).length === 1, { what: "the page's client to be gone" });
  await page.goBack();
  await page.getByRole("cell", { name: "t/9" }).waitFor();
  assert.equal(await page.locator("#publish-topic").inputValue(), "typed");
  await page.goto(`${broker.url}/#/plugins`);
  await waitFor(async () => (await clientIds(broker)).length === 1, { what: "the page's client to be gone" });
  assert.deepEqual(problems, []);
});

test("a store that refuses, and one that does not answer, is told", { skip }, async (t) => {
  const configuration = 'sqlite { enable = true, topics = ["#"], max_messages = 2 }, store_timeout = 60000';
  const broker = await start(t, { builtIn: builtInPlugin(configuration) });
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it");
  await press(page, "Publish three messages");
  await page.getByText("The broker refused: Publish error: Quota exceeded").waitFor();
  await waitFor(async () => (await stored(broker)).length === 2, { what: "two stored messages" });
  const lock = lockDatabase(join(broker.folder, "emqx_offline_message_plugin", "messages.db"));
  try {
    await page.locator("#walk-topic").fill("u/1");
    await press(page, "Publish three messages");
    await page.getByText("The broker did not answer in time.").waitFor();
  } finally {
    lock.close();
  }
  assert.deepEqual(problems, []);
});

test("a broker without WebSocket, and one that refuses the page", { skip }, async (t) => {
  const without = await startDashboard(t);
  const first = await openSignedIn(t, browser, without, "/try-it");
  await press(first.page, "Publish three messages");
  await first.page.getByText("Enable listeners.ws in omp.hocon, and start it again.").waitFor();
  assert.deepEqual(first.problems, []);

  const full = await start(t, { broker: { ...overWebSocket, maxConnections: 1 } });
  await connectClient(t, full.address);
  const second = await openSignedIn(t, browser, full, "/try-it");
  await press(second.page, "Publish three messages");
  await second.page.getByText("The broker refused the connection:").waitFor();
  assert.deepEqual(second.problems, []);
});

test("an address that the page cannot reach is told, and what may be the cause", { skip }, async (t) => {
  const broker = await start(t, { broker: { ws: { host: "127.0.0.2", port: 0, websocket } } });
  const { page } = await openSignedIn(t, browser, broker, "/try-it");
  await press(page, "Publish three messages");
  const { port } = broker.addresses.ws ?? {};
  await page.getByText(`ws://127.0.0.1:${port}/over/here cannot be reached from here.`).waitFor();
  await page.getByText(`refuse pages of ${broker.url}: websocket.check_origins`).waitFor();
});

test("a viewer is told who can try it", { skip }, async (t) => {
  const broker = await start(t);
  await broker.accounts.users.add({ username: "eve", password: PASSWORD, role: "viewer" });
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it", { username: "eve" });
  await page.getByText("an administrator can try it here.").waitFor();
  assert.equal(await page.locator("main").getByRole("button").count(), 0);
  assert.deepEqual(problems, []);
});

test("in Chinese, dark, and 375 pixels wide", { skip }, async (t) => {
  const broker = await start(t);
  const narrow = { locale: "zh-CN", colorScheme: "dark", viewport: { width: 375, height: 740 } } as const;
  const { page, problems } = await openSignedIn(t, browser, broker, "/try-it", narrow);
  await page.getByRole("heading", { name: "试一试" }).waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  await press(page, "发布三条消息");
  await page.getByText("三条消息都已确认：已存储").waitFor();
  await press(page, "以 first 订阅");
  await page.getByText("按顺序收到：hello-from-offline1").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.deepEqual(problems, []);
});
