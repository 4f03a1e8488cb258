// Export and import of stored messages on the dashboard, in Chromium: whole, cancelled in the middle, and with lines that are wrong.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { lineOf } from "../management/offline-messages/message-broker.ts";
import { nextId } from "../store/sample-messages.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { accessibilityProblems, openSignedIn, startMessageDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const PAGE = "/offline-messages";
/** Bytes in a second: what is under way stays so until it is cancelled. */
const SLOW = 100_000;

/** Returns how to have the usual speed again. */
async function slowDown(page: Page): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  const limit = async (throughput: number): Promise<void> => {
    const limits = { downloadThroughput: throughput, uploadThroughput: throughput };
    await session.send("Network.emulateNetworkConditions", { offline: false, latency: 0, ...limits });
  };
  await session.send("Network.enable");
  await limit(SLOW);
  return () => limit(-1);
}

function lines(count: number, payload: string): string {
  return Array.from({ length: count }, (_, number) => lineOf(nextId(), `t/${number % 2}`, payload)).join("");
}

test("what matches is exported, and imported again", { skip }, async (t) => {
  const broker = await startMessageDashboard(t);
  await broker.import(lines(20, "<script>alert(1)</script>"));
  const { page, problems } = await openSignedIn(t, browser, broker, PAGE);
  await page.getByLabel("Topic filter", { exact: true }).fill("t/1");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const file = join(temporaryDirectory(t), "lines.jsonl");
  assert.equal((await download).suggestedFilename(), "offline-messages.jsonl");
  await (await download).saveAs(file);
  const exported = readFileSync(file, "utf8");
  assert.equal(exported, await broker.export("t/1"));
  assert.equal(exported.trimEnd().split("\n").length, 10);

  await broker.send("POST", "/purge", { body: { topic: "#", dry_run: false } });
  await page.getByLabel("Topic filter", { exact: true }).fill("#");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Nothing is stored.").waitFor();
  await page.locator('input[type="file"]').setInputFiles(file);
  await page.getByText("lines.jsonl: 10 stored, 0 stored already, 0 expired, 0 failed.").waitFor();
  await page.getByRole("link", { name: "t/1" }).waitFor();
  assert.equal(await broker.export(), exported);

  writeFileSync(file, `${exported}{"topic":"<b>"}\nnonsense\n`);
  await page.locator('input[type="file"]').setInputFiles(file);
  await page.getByText("lines.jsonl: 0 stored, 10 stored already, 0 expired, 2 failed.").waitFor();
  const rows = page.getByRole("region", { name: "Lines that were not stored" }).locator("tbody tr");
  assert.match((await rows.allInnerTexts()).join("\n"), /^11\t.+\n12\t.+$/);
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await page.getByText("2 failed.").waitFor({ state: "detached" });
  assert.deepEqual(problems, []);
});

test("an export is cancelled in the middle: nothing is saved", { skip }, async (t) => {
  const broker = await startMessageDashboard(t);
  await broker.import(lines(40, "x".repeat(100_000)));
  const { page, problems } = await openSignedIn(t, browser, broker, PAGE);
  await page.getByRole("link", { name: "t/1" }).waitFor();
  await slowDown(page);
  const downloads: unknown[] = [];
  page.on("download", (download) => downloads.push(download));
  await page.getByRole("button", { name: "Export" }).click();
  await page.getByText(/^[\d.]+ KiB exported$/).waitFor();
  await page.getByRole("button", { name: "Cancel export" }).click();
  await page.getByText("The export was cancelled, and nothing is saved.").waitFor();
  await page.getByRole("button", { name: "Export" }).waitFor();
  assert.deepEqual(downloads, []);
  assert.deepEqual(problems, []);
});

test("an import is cancelled in the middle: what was stored stays", { skip }, async (t) => {
  const broker = await startMessageDashboard(t);
  const file = join(temporaryDirectory(t), "lines.jsonl");
  writeFileSync(file, lines(1_000, "x".repeat(10_000)));
  const { page, problems } = await openSignedIn(t, browser, broker, PAGE);
  await page.getByText("Nothing is stored.").waitFor();
  await slowDown(page);
  await page.locator('input[type="file"]').setInputFiles(file);
  await page.getByText("Importing lines.jsonl").waitFor();
  await page.getByRole("progressbar").waitFor();
  const asked: string[] = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.type());
    void dialog.dismiss();
  });
  await page.getByRole("navigation").getByRole("link", { name: "Overview" }).click();
  await page.getByRole("tab", { name: "Subscriptions" }).click();
  await page.reload({ waitUntil: "commit", timeout: 2_000 }).catch(() => {});
  await waitFor(() => asked.length === 3, { what: "three questions" });
  assert.deepEqual(asked, ["confirm", "confirm", "beforeunload"]);
  assert.equal(await page.getByRole("tab", { name: "Topics" }).getAttribute("aria-selected"), "true");
  await page.getByRole("button", { name: "Cancel import" }).click();
  await page.getByText("The import was cancelled.").waitFor();
  const { data } = await broker.page("/messages", { limit: 1_000, payload: "none" });
  assert.ok(data.length < 1_000, `${data.length} stored`);
  assert.deepEqual(problems, []);
});

test("an export that the broker cuts off is told of, and not saved", { skip }, async (t) => {
  const broker = await startMessageDashboard(t);
  await broker.import(lines(200, "x".repeat(100_000)));
  const { page } = await openSignedIn(t, browser, broker, PAGE);
  await page.getByRole("link", { name: "t/1" }).waitFor();
  const speedUp = await slowDown(page);
  await page.getByRole("button", { name: "Export" }).click();
  await page.getByText(/^[\d.]+ KiB exported$/).waitFor();
  await broker.stop();
  await speedUp();
  await page.getByRole("alert").filter({ hasText: "The broker ended the export before its end" }).waitFor();
});
