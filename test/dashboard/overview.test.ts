// The overview in Chromium: figures and charts that follow what the broker does, and the store's health in words.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { waitFor } from "../support/wait-for.ts";
import { accessibilityProblems, openSignedIn, overhang, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);

test("what waits and who is connected is told, live", { skip }, async (t) => {
  const builtIn = builtInPlugin('sqlite { enable = true, topics = ["#"], max_messages = 3 }');
  const broker = await startDashboard(t, { builtIn });
  const { page, problems } = await openSignedIn(t, browser, broker);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  const card = (name: string) => page.locator("dl > div", { has: page.getByText(name, { exact: true }) }).locator("dd");
  await card("Store").getByText("works").waitFor();
  await page.getByText("Nothing waits. Publish with QoS 1 or 2").waitFor();
  assert.equal(await page.locator("figure svg").count(), 4);
  assert.deepEqual(await accessibilityProblems(page), []);
  const { client } = await connectClient(t, broker.address);
  for (let count = 0; count < 3; count++) await client.publishAsync("t/1", "waits", { qos: 1 });
  await card("waiting messages").getByText("3", { exact: true }).waitFor();
  await card("connected clients").getByText("1", { exact: true }).waitFor();
  assert.match(await card("Oldest waiting message").innerText(), /^(?:now|\d+ seconds? ago)$/);
  assert.match((await card("Oldest waiting message").getAttribute("title")) ?? "", /\d{4}/);
  assert.match(await card("stored").innerText(), /^[\d.]+\/s$/);
  const refused = client.publishAsync("t/1", "one too many", { qos: 1 });
  await assert.rejects(refused, /Quota exceeded/);
  await card("Store").getByText("full: publishes are refused").waitFor();
  await page.getByText("because a limit of the store was reached: 1.").waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.deepEqual(problems, []);
  await page.context().setOffline(true);
  await page.getByText(/^These figures are as of .*20\d\d, \d\d:\d\d:\d\d/).waitFor();
  assert.deepEqual(await accessibilityProblems(page), []);
});

test("a store that fails is told with its cause, and that it works again", { skip }, async (t) => {
  const builtIn = builtInPlugin('store_timeout = 300, sqlite { enable = true, topics = ["#"] }');
  const broker = await startDashboard(t, { builtIn });
  const { page } = await openSignedIn(t, browser, broker, "/overview");
  const store = page.locator("dl > div", { has: page.getByText("Store", { exact: true }) }).locator("dd");
  await store.getByText("works").waitFor();
  const lock = lockDatabase(join(broker.folder, "emqx_offline_message_plugin", "messages.db"));
  t.after(() => lock.isOpen && lock.close());
  const { client } = await connectClient(t, broker.address);
  await assert.rejects(client.publishAsync("t/1", "not stored", { qos: 1 }));
  await store.getByText(/locked|did not answer/).waitFor();
  lock.close();
  await waitFor(
    () =>
      client.publishAsync("t/1", "stored", { qos: 1 }).then(
        () => true,
        () => false,
      ),
    { what: "the store" },
  );
  await store.getByText("works").waitFor();
});

test("nothing moves for who wants less motion", { skip }, async (t) => {
  const broker = await startDashboard(t);
  for (const [reducedMotion, moves] of [
    ["no-preference", true],
    ["reduce", false],
  ] as const) {
    const { page } = await openSignedIn(t, browser, broker, "/overview", { reducedMotion });
    const durations = await page.evaluate<string[]>(`[...document.querySelectorAll("*")].map((element) => {
      const { transitionDuration, animationDuration } = getComputedStyle(element);
      return transitionDuration + ", " + animationDuration;
    })`);
    const longest = Math.max(...durations.flatMap((text) => text.split(", ").map(Number.parseFloat)));
    assert.equal(longest > 0, moves, reducedMotion);
  }
});

test("in Chinese, dark, and 375 pixels wide", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const narrow = { locale: "zh-CN", colorScheme: "dark", viewport: { width: 375, height: 740 } } as const;
  const { page, problems } = await openSignedIn(t, browser, broker, "/overview", narrow);
  await page.getByRole("heading", { name: "概览" }).waitFor();
  await page.getByText("正常").waitFor();
  assert.equal(await overhang(page), 0);
  assert.deepEqual(await accessibilityProblems(page), []);
  assert.deepEqual(problems, []);
});

test("another language is chosen, and stays chosen", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const { page, problems } = await openSignedIn(t, browser, broker, "/overview");
  await page.getByRole("combobox", { name: "Language" }).selectOption("中文");
  await page.getByRole("heading", { name: "概览" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "概览" }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "zh");
  assert.deepEqual(problems, []);
});
