// A broker and a page of its dashboard in which somebody has signed in.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { BrowserContextOptions, Locator, Page } from "playwright-core";
import { builtInPlugin } from "../../src/cli/built-in-plugin.ts";
import { dashboardFolder } from "../../src/cli/dashboard-folder.ts";
import { type MessageBroker, startMessageBroker } from "../management/offline-messages/message-broker.ts";
import { type PluginBroker, type PluginBrokerOptions, startPluginBroker } from "../management/plugins/plugin-broker.ts";
import type { OpenPage, TestBrowser } from "../support/chromium.ts";
import type { Scope } from "../support/temporary-directory.ts";

export const PASSWORD = "pass-word-1";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A broker with its dashboard, and the user admin, whose password is `PASSWORD`. */
export async function startDashboard(scope: Scope, options: PluginBrokerOptions = {}): Promise<PluginBroker> {
  const builtIn = builtInPlugin('sqlite { enable = true, topics = ["#"] }');
  const broker = await startPluginBroker(scope, { builtIn, dashboardFolder: builtDashboard(), ...options });
  await broker.accounts.users.add({ username: "admin", password: PASSWORD });
  return broker;
}

/** The same, with ways to store messages; and the user eve, who is a viewer. */
export async function startMessageDashboard(scope: Scope, config?: string): Promise<MessageBroker> {
  const broker = await startMessageBroker(scope, config, { dashboardFolder: builtDashboard() });
  await broker.accounts.users.add({ username: "admin", password: PASSWORD });
  await broker.accounts.users.add({ username: "eve", password: PASSWORD, role: "viewer" });
  return broker;
}

function builtDashboard(): string {
  const folder = dashboardFolder();
  assert.ok(folder !== undefined, "make dashboard builds it");
  return folder;
}

/** Opens an address behind `/#`, and signs in. */
export async function openSignedIn(
  scope: Scope,
  browser: TestBrowser,
  broker: PluginBroker,
  path = "/",
  options: BrowserContextOptions & { readonly username?: string } = {},
): Promise<OpenPage> {
  const opened = await browser.open(scope, options);
  await opened.page.goto(`${broker.url}/#${path}`);
  await signIn(opened.page, options.username);
  return opened;
}

export async function signIn(page: Page, username = "admin", password = PASSWORD): Promise<void> {
  await page.locator("#username").fill(username);
  await page.locator("#password").fill(password);
  await page.locator('button[type="submit"]').click();
  await page.locator("header.top").waitFor();
}

/** What axe-core finds against WCAG 2.1 A and AA. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // Colours are looked at as they stay.
  await page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))");
  await page.evaluate(axe);
  const { violations } = await page.evaluate<Found>(
    'axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], resultTypes: ["violations"] })',
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}

interface Found {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}

/** How much wider the page is than the screen, in pixels. */
export function overhang(page: Page): Promise<number> {
  return page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth");
}

/** Whether the tables fit into their boxes. */
export function isWhole(page: Page): Promise<boolean> {
  const fits = "({ parentElement: box, offsetWidth }) => offsetWidth <= box.clientWidth";
  return page.evaluate<boolean>(`[...document.querySelectorAll("table")].every(${fits})`);
}

/** Drops a file on an element. */
export async function dropFile(page: Page, target: Locator, name: string, content: Buffer): Promise<void> {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const bytes = Uint8Array.from(atob(${JSON.stringify(content.toString("base64"))}), (character) => character.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], ${JSON.stringify(name)}));
    return transfer;
  })()`);
  await target.dispatchEvent("drop", { dataTransfer });
}
