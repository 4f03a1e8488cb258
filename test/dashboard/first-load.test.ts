// How much the first pages load, and that the styles they load are those of the components in use.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { dashboardFolder } from "../../src/cli/dashboard-folder.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { signIn, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);
/** Bytes of all files that come before the overview is complete. */
const MOST = 350_000;
const SOURCES = resolve(import.meta.dirname, "../../dashboard/src");

test("signing in and the overview load no more than 350 KB, with Brotli and with gzip", { skip }, async (t) => {
  const broker = await startDashboard(t);
  const folder = dashboardFolder() ?? "";
  const { page } = await browser.open(t);
  const files = new Set<string>();
  page.on("response", (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.startsWith("/api/")) files.add(join(folder, pathname === "/" ? "index.html" : pathname));
  });
  await page.goto(`${broker.url}/`);
  await signIn(page);
  await page.locator("figure svg").nth(3).waitFor();
  assert.ok(
    [...files].some((file) => /OverviewPage-.*\.js$/.test(file)),
    [...files].join(),
  );
  for (const ending of [".br", ".gz"]) {
    const sizes = [...files].map((file) => statSync(existsSync(file + ending) ? file + ending : file).size);
    const sum = sizes.reduce((one, other) => one + other);
    t.diagnostic(`${files.size} files have ${sum} bytes with ${ending}`);
    assert.ok(sum <= MOST, `${sum} bytes with ${ending}`);
  }
});

test("the styles are those of the components in use", () => {
  const used = new Set<string>();
  for (const file of globSync("**/*.{vue,ts}", { cwd: SOURCES })) {
    const [, names = ""] =
      /import \{([^}]*)\} from "element-plus"/.exec(readFileSync(join(SOURCES, file), "utf8")) ?? [];
    for (const [name] of names.matchAll(/\bEl\w+/g))
      used.add(
        name
          .replace(/^El/, "")
          .replaceAll(/\B[A-Z]/g, "-$&")
          .toLowerCase(),
      );
  }
  const styles = readFileSync(join(SOURCES, "element-styles.ts"), "utf8").matchAll(/components\/([\w-]+)\/style/g);
  assert.deepEqual(
    [...styles].map(([, name]) => name),
    [...used].sort(),
  );
});
