// The boundary of what can be filled in or chosen has 3:1 to what is around it (WCAG 1.4.11), which axe-core does not look at.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { connectClient } from "../support/mqtt-client.ts";
import { openSignedIn, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
const LEAST = 3;

/** Each page with something that is on it when it is complete. */
const PAGES = {
  "/plugins/detail/emqx_offline_message_plugin-0.1.0": "form .el-select, form .el-input-number",
  "/offline-messages": "#topic-filter",
  "/clients/sensor": "#subscribe-topic",
  "/try-it": "form .el-input",
};

interface Control {
  readonly what: string;
  readonly boundary: string;
  readonly around: string;
}

/** What can be filled in or chosen on the page, with the colour of its boundary and of the ground that it stands on. */
const CONTROLS = `(() => {
  const BOUNDARIES = ".el-input__wrapper, .el-textarea__inner, .el-select__wrapper, .el-switch, .el-checkbox, .el-radio";
  const PARTS = ".el-switch__core, .el-checkbox__inner, .el-radio__inner";
  const isSeen = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 1;
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return color === "rgba(0, 0, 0, 0)" && element.parentElement !== null ? ground(element.parentElement) : color;
  };
  return [...document.querySelectorAll("input, textarea, select")]
    // A radio button of a group is a word on a ground of its own, and a file is chosen with a button.
    .filter((input) => !input.disabled && input.type !== "file" && input.closest(".el-radio-button") === null)
    .map((input) => ({ input, outer: input.closest(BOUNDARIES) ?? input }))
    .filter(({ outer }) => isSeen(outer))
    .map(({ input, outer }) => {
      const element = outer.querySelector(PARTS) ?? outer;
      const { boxShadow, borderTopWidth, borderTopColor } = getComputedStyle(element);
      const boundary = borderTopWidth === "0px" ? boxShadow.match(/rgba?\\(.*?\\)/)?.[0] : borderTopColor;
      return { what: element.className + " " + input.id, boundary: boundary ?? "none", around: ground(element.parentElement) };
    });
})()`;

async function controls(page: Page): Promise<Control[]> {
  // Colours are looked at as they stay.
  await page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))");
  return page.evaluate<Control[]>(CONTROLS);
}

/** As WCAG defines it, of two opaque colours such as rgb(1, 2, 3). */
function contrast(one: string, other: string): number {
  const [lighter, darker] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(color: string): number {
  const parts = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(color)?.slice(1).map(Number);
  assert.ok(parts !== undefined, `${color} is opaque`);
  const [red, green, blue] = parts.map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function tooFaint(found: readonly Control[]): string[] {
  return found
    .filter(({ boundary, around }) => contrast(boundary, around) < LEAST)
    .map(({ what, boundary, around }) => `${what}: ${boundary} on ${around} is ${contrast(boundary, around)}`);
}

test("contrast is reckoned as WCAG defines it", () => {
  assert.equal(contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)"), 21);
  assert.equal(contrast("rgb(118, 118, 118)", "rgb(255, 255, 255)").toFixed(2), "4.54");
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`boundaries are seen, ${colorScheme}`, { skip }, async (t) => {
    const broker = await startDashboard(t);
    await connectClient(t, broker.address, { clientId: "sensor" });
    const signIn = await browser.open(t, { colorScheme });
    await signIn.page.goto(`${broker.url}/`);
    await signIn.page.locator("#username").waitFor();
    const first = await controls(signIn.page);
    assert.ok(first.length >= 2);
    assert.deepEqual(tooFaint(first), []);

    const { page } = await openSignedIn(t, browser, broker, "/overview", { colorScheme });
    for (const [path, seen] of Object.entries(PAGES)) {
      await page.goto(`${broker.url}/#${path}`);
      await page.locator(seen).first().waitFor();
      const found = await controls(page);
      assert.ok(found.length > 0, path);
      assert.deepEqual(tooFaint(found), [], path);
    }
    await page.goto(`${broker.url}/#/offline-messages`);
    await page.locator("#topic-filter").hover();
    assert.deepEqual(tooFaint(await controls(page)), []);
    await page.locator("#topic-filter").focus();
    assert.deepEqual(tooFaint(await controls(page)), []);
  });
}
