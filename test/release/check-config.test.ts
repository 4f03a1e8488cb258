// The plugin's configuration says the same everywhere, and each way in which it could not is found.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { ROOT } from "../../tools/release/bundle.ts";
import { type ConfigFiles, configProblems } from "../../tools/release/check-config.ts";

const read = (file: string) => readFileSync(join(ROOT, "src/plugin/priv", file), "utf8");
const shipped: ConfigFiles = {
  hocon: read("config.hocon"),
  schema: read("config_schema.avsc"),
  texts: read("config_i18n.json"),
};

/** Replaces the first occurrence, which must be there. */
function replaced(text: string, from: string | RegExp, to: string): string {
  const changed = text.replace(from, () => to);
  assert.notEqual(changed, text, String(from));
  return changed;
}

test("what is shipped agrees", () => {
  assert.deepEqual(configProblems(shipped), []);
});

const differences: readonly (readonly [name: string, changed: Partial<ConfigFiles>, problem: RegExp])[] = [
  [
    "a value of another type",
    { hocon: replaced(shipped.hocon, "pool_size = 8", 'pool_size = "eight"') },
    /^config\.hocon: mysql\.pool_size is "eight", and config_schema\.avsc wants "int"$/,
  ],
  [
    "a value that is no choice",
    { hocon: replaced(shipped.hocon, "redis_type = single", "redis_type = double") },
    /redis\.redis_type is "double"/,
  ],
  [
    "a key that the schema does not know",
    { hocon: `${shipped.hocon}\nredis.color = 1\n` },
    /^config\.hocon: config_schema\.avsc does not know redis\.color$/,
  ],
  [
    "a key that is missing",
    { hocon: replaced(shipped.hocon, "store_timeout = 5000", "") },
    /^config\.hocon lacks store_timeout of config_schema\.avsc$/,
  ],
  [
    "a key of the code that the schema does not know",
    {
      schema: replaced(shipped.schema, '"name": "qos0_replay"', '"name": "qos0"'),
    },
    /^src\/plugin\/config\.ts: config_schema\.avsc does not know qos0_replay$/,
  ],
  [
    "another default than that of the code",
    { schema: replaced(shipped.schema, /"default": 604800/, '"default": 604801') },
    /^config_schema\.avsc: sqlite(?:\.message_ttl)? has the default .*604801/,
  ],
  [
    "a text that is missing in one language",
    { texts: replaced(shipped.texts, /"zh": "启用 MySQL"/, '"cn": "启用 MySQL"') },
    /^config_i18n\.json lacks \$mysql_enable_label in zh$/,
  ],
  [
    "a text that nobody uses",
    { texts: replaced(shipped.texts, '"$mysql_enable_label"', '"$mysql_disable_label"') },
    /^config_i18n\.json has \$mysql_disable_label, which/,
  ],
  ["a filter that is none", { hocon: replaced(shipped.hocon, 'topics = ["#"]', 'topics = ["a#"]') }, /sqlite\.topics/],
];

for (const [name, changed, problem] of differences) {
  test(`${name} is found`, () => {
    const problems = configProblems({ ...shipped, ...changed });
    assert.ok(
      problems.some((found) => problem.test(found)),
      problems.join("\n") || "no problem was found",
    );
  });
}
