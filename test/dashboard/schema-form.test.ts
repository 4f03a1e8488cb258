// The form that a schema draws: a plugin whose schema has every component, in every shape, is drawn, changed and saved.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { MAIN, NAME, packageOf, sampleFiles } from "../management/plugins/sample-package.ts";
import { chromiumMissing, startChromium } from "../support/chromium.ts";
import { accessibilityProblems, openSignedIn, overhang, startDashboard } from "./signed-in.ts";

const skip = chromiumMissing ?? false;
const browser = skip === false ? await startChromium({ after }) : (undefined as never);

const ui = (component: string, more: object = {}) => ({
  $ui: { component, flex: 12, label: `$${component}_label`, description: `$${component}_desc`, ...more },
});

const SCHEMA = {
  type: "record",
  name: "Sample",
  fields: [
    { name: "on", type: "boolean", default: false, ...ui("switch", { required: true }) },
    { name: "text", type: "string", default: "", ...ui("input", { required: true }) },
    { name: "secret_password", type: "string", default: "", ...ui("input-password") },
    { name: "sql", type: "string", default: "", ...ui("input-textarea", { flex: 24 }) },
    { name: "count", type: "int", default: 0, ...ui("input-number", { rules: [{ type: "range", min: 0 }] }) },
    { name: "big", type: "long", default: 0, $ui: { component: "input", label: "A number that is drawn as input" } },
    { name: "maybe", type: ["null", "string"], default: null, $ui: { component: "input", label: "Perhaps a text" } },
    { name: "list", type: { type: "array", items: "string" }, default: [], ...ui("input-array", { flex: 24 }) },
    {
      name: "numbers",
      type: { type: "array", items: "int" },
      default: [],
      $ui: { component: "input-array", label: "Numbers" },
    },
    {
      name: "mode",
      type: { type: "enum", name: "Mode", symbols: ["one", "two"] },
      default: "one",
      ...ui("select", {
        options: [
          { label: "$one_label", value: "one" },
          { label: "The second", value: "two" },
        ],
      }),
    },
    { name: "plain", type: { type: "enum", name: "Plain", symbols: ["x", "y"] }, default: "x" },
    {
      name: "hidden",
      type: "string",
      default: "",
      $ui: { component: "input", label: "Matters less", importance: "low" },
    },
    { name: "odd", type: { type: "map", values: "string" }, default: {} },
    {
      name: "inner",
      type: {
        type: "record",
        name: "Inner",
        fields: [
          { name: "deep", type: "boolean", default: false, $ui: { component: "switch", label: "Deep down" } },
          {
            name: "more",
            type: {
              type: "record",
              name: "More",
              fields: [{ name: "text", type: "string", default: "", $ui: { component: "input", label: "Deeper" } }],
            },
            $ui: { label: "More of it" },
          },
        ],
      },
      $ui: { label: "$inner_label", description: "<b>Not bold</b>" },
    },
  ],
};

const text = (en: string, zh: string) => ({ en, zh });
const TEXTS = {
  $switch_label: text("Switch it", "开关"),
  $switch_desc: text("On or off.", "开或关。"),
  $input_label: text("A text", "文本"),
  $input_desc: text("Some text.", "一些文本。"),
  "$input-password_label": text("A secret", "机密"),
  "$input-textarea_label": text("Long text", "长文本"),
  "$input-number_label": text("A number", "数字"),
  "$input-array_label": text("A list", "列表"),
  $select_label: text("A choice", "选择"),
  $one_label: text("The first", "第一"),
  $inner_label: text("Inside", "内部"),
};

const CONFIG = "on = false, text = a, secret_password = hush, sql = b, count = 1, big = 2, list = [], numbers = [3]\n";

const field = (page: Page, path: string) => page.locator(`[data-path="${path}"]`);

async function open(t: Parameters<typeof startDashboard>[0], options = {}) {
  const broker = await startDashboard(t, { builtIn: undefined });
  const priv = `${NAME}/${MAIN}/priv`;
  const files = {
    ...sampleFiles(),
    [`${priv}/config.hocon`]: `${CONFIG}mode = one, plain = x, hidden = "", odd { a = b }, inner { deep = false, more { text = "" } }\n`,
    [`${priv}/config_schema.avsc`]: JSON.stringify(SCHEMA),
    [`${priv}/config_i18n.json`]: JSON.stringify(TEXTS),
  };
  const installed = await broker.install(`${NAME}.tar.gz`, packageOf(files), { isLocal: true });
  assert.equal(installed.status, 204, JSON.stringify(installed.body));
  return { broker, ...(await openSignedIn(t, browser, broker, `/plugins/detail/${NAME}`, options)) };
}

test("every component is drawn, changed and saved as what it is", { skip }, async (t) => {
  const { broker, page, problems } = await open(t);
  await page.getByText("Nothing was changed yet.").waitFor();
  for (const label of ["Switch it", "A text", "A secret", "Long text", "A number", "A list", "A choice", "Inside"]) {
    await page.getByText(label, { exact: true }).first().waitFor();
  }
  await page.getByText("<b>Not bold</b>").waitFor();
  assert.equal(await field(page, "secret_password").locator("input").getAttribute("type"), "password");
  assert.equal(await field(page, "sql").locator("textarea").count(), 1);
  assert.equal(await field(page, "hidden").locator("input").isVisible(), false);
  assert.deepEqual(await accessibilityProblems(page), []);

  await field(page, "on").locator(".el-switch__core").click();
  await field(page, "text").locator("input").fill("changed");
  await field(page, "sql").locator("textarea").fill("two\nlines");
  await field(page, "count").locator("input").fill("42");
  await field(page, "count").locator("input").blur();
  await field(page, "big").locator("input").fill("4711");
  await field(page, "big").locator("input").blur();
  await field(page, "maybe").locator("input").fill("there");
  await field(page, "list").getByRole("button", { name: "+ Add" }).click();
  await field(page, "list").getByRole("textbox").fill("first");
  await field(page, "numbers").getByRole("button", { name: "+ Add" }).click();
  await field(page, "numbers").getByRole("textbox").nth(1).fill("7");
  await field(page, "mode").locator(".el-select").click();
  await page.getByRole("option", { name: "The second" }).click();
  await field(page, "mode").getByText("The second").waitFor();
  await field(page, "plain").locator(".el-select").click();
  await page.getByRole("option", { name: "y", exact: true }).click();
  await page.getByText("Advanced settings").first().click();
  await field(page, "hidden").locator("input").fill("seen");
  await field(page, "odd").locator("textarea").fill('{"c": "d"}');
  await field(page, "odd").locator("textarea").blur();
  await field(page, "inner.deep").locator(".el-switch__core").click();
  await field(page, "inner.more.text").locator("input").fill("found");
  await page.getByRole("button", { name: "Save and apply" }).click();
  await page.getByText("The configuration is saved. It is used when the plugin is started.").waitFor();

  const { body } = await broker.ask({ path: `/plugins/${NAME}/config` });
  const { size: _, ...config } = body as Record<string, unknown>;
  assert.deepEqual(config, {
    on: true,
    text: "changed",
    secret_password: "******",
    sql: "two\nlines",
    count: 42,
    big: 4711,
    maybe: "there",
    list: ["first"],
    numbers: [3, 7],
    mode: "two",
    plain: "y",
    hidden: "seen",
    odd: { c: "d" },
    inner: { deep: true, more: { text: "found" } },
  });
  assert.deepEqual(problems, []);
});

test("what has to be there is asked for, and numbers have to be some", { skip }, async (t) => {
  const { page } = await open(t);
  await field(page, "text").locator("input").fill("");
  await field(page, "count").locator("input").fill("");
  await field(page, "count").locator("input").blur();
  await field(page, "count").locator("input").fill("-1");
  await field(page, "count").getByText("At least 0 is needed here.").waitFor();
  await field(page, "count").locator("input").fill("1.5");
  await field(page, "count").getByText("A whole number is needed here.").waitFor();
  await field(page, "count").locator("input").fill("2");
  await field(page, "count").locator(".el-form-item__error").waitFor({ state: "detached" });
  await field(page, "big").locator("input").fill("9007199254740993");
  await field(page, "big").getByText("This number is too large to be kept exactly.").waitFor();
  await page.getByRole("button", { name: "Save and apply" }).click();
  await field(page, "text").getByText("A value is needed here.").waitFor();
  await field(page, "big").getByText("This number is too large to be kept exactly.").waitFor();
  await field(page, "text").locator("input").fill("there");
  await field(page, "text").getByText("A value is needed here.").waitFor({ state: "hidden" });
});

test("in Chinese and 375 pixels wide", { skip }, async (t) => {
  const { page } = await open(t, { locale: "zh-CN", viewport: { width: 375, height: 740 } });
  await page.getByText("机密", { exact: true }).waitFor();
  await page.getByText("内部", { exact: true }).waitFor();
  assert.equal(await overhang(page), 0);
});
