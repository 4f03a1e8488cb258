// Pictures of every page, for people to look at: in English and light, and two in Chinese and dark, in _build/screenshots.

import assert from "node:assert/strict";
import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { chineseFontMissing } from "../support/fonts.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { accessibilityProblems, openSignedIn, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const FOLDER = resolve(import.meta.dirname, "../../_build/screenshots");
const PLUGIN = "emqx_offline_message_plugin-0.1.0";
const websocket = { mqttPath: "/mqtt", maxFrameSize: 65_536, checkOriginEnable: true, checkOrigins: [] };

/** Each page by its name, with something that is on it when it is complete. */
const PAGES: readonly (readonly [name: string, path: string, seen: RegExp])[] = [
  ["overview", "/overview", /seconds? ago/],
  ["plugins", "/plugins", /running/],
  ["plugin", `/plugins/detail/${PLUGIN}`, /Nothing was changed yet/],
  ["offline-messages", "/offline-messages", /factory\/1\/temperature/],
  ["topic", "/offline-messages/topic?topic=factory%2F1%2Ftemperature", /sensor/],
  ["clients", "/clients", /gateway-1/],
  ["client", "/clients/gateway-1", /factory\/#/],
  ["try-it", "/try-it", /Publish three messages/],
];

async function picture(page: Page, name: string): Promise<void> {
  // Pictures are of pages as they stay.
  assert.deepEqual(await accessibilityProblems(page), []);
  const path = join(FOLDER, `${name}.png`);
  await page.screenshot({ path });
  assert.ok(statSync(path).size > 5000, `${name} is a picture`);
}

test("every page", { skip }, async (t) => {
  mkdirSync(FOLDER, { recursive: true });
  const broker = await startDashboard(t, { broker: { ws: { host: "127.0.0.1", port: 0, websocket } } });
  const gateway = await connectClient(t, broker.address, {
    clientId: "gateway-1",
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
  });
  await gateway.client.subscribeAsync("factory/#", { qos: 1 });
  await gateway.end();
  const sensor = await connectClient(t, broker.address, { clientId: "sensor-7" });
  for (let count = 0; count < 12; count++) {
    const payload = JSON.stringify({ celsius: 20 + count / 4, sensor: "sensor-7" });
    await sensor.client.publishAsync(`factory/${(count % 3) + 1}/temperature`, payload, { qos: 1 });
  }
  const signIn = await browser.open(t);
  await signIn.page.goto(`${broker.url}/`);
  await signIn.page.locator("#username").waitFor();
  await picture(signIn.page, "sign-in");

  const { page, problems } = await openSignedIn(t, browser, broker);
  for (const [name, path, seen] of PAGES) {
    await page.goto(`${broker.url}/#${path}`);
    await page.locator("main").getByText(seen).first().waitFor();
    await picture(page, name);
  }
  const dark = { locale: "zh-CN", colorScheme: "dark" } as const;
  const chinese = await openSignedIn(t, browser, broker, "/overview", dark);
  await chinese.page.getByRole("heading", { name: "概览" }).waitFor();
  await picture(chinese.page, "overview-chinese-dark");
  await chinese.page.goto(`${broker.url}/#/offline-messages`);
  await chinese.page.getByText("factory/1/temperature").first().waitFor();
  await picture(chinese.page, "offline-messages-chinese-dark");
  assert.deepEqual(problems, []);
});

test("Chinese is drawn as characters, not as boxes", {
  skip: chromiumMissing ?? chineseFontMissing ?? false,
}, async (t) => {
  const { page } = await browser.open(t);
  const [first, second] = await page.evaluate<string[]>(`[..."概览"].map((character) => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    context.font = "40px sans-serif";
    context.fillText(character, 0, 60);
    return canvas.toDataURL();
  })`);
  assert.notEqual(first, second);
});
