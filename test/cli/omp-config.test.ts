// The broker's configuration: what docs/configuration.md says of the defaults is what the code has.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { defaultOmpConfig, ompConfigKeys, parseOmpConfig } from "../../src/cli/omp-config.ts";

const documentation = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

/** The value of a key with dots. */
function valueAt(config: unknown, key: string): unknown {
  let value = config;
  for (const name of key.split(".")) value = (value as Record<string, unknown>)[name];
  return value;
}

/** An object that has only that key. */
function objectOf(key: string, value: unknown): unknown {
  return key.split(".").reduceRight((inner, name) => ({ [name]: inner }), value);
}

test("every documented default of omp.hocon is the code's", () => {
  const section = documentation.slice(documentation.indexOf("## The broker: omp.hocon"));
  const rows = [...section.matchAll(/^\| `([a-z0-9_.]+)` \| ([^|]+) \| ([^|]+) \|/gm)];
  const documented = rows.map(([, key = "", kind = "", written = ""]) => {
    const isText = !/^(?:number|bytes|boolean)/.test(kind);
    return { key, value: isText ? written.replace(/^empty$/, "") : JSON.parse(written) };
  });
  const leaves = ompConfigKeys.filter((key) => !ompConfigKeys.some((other) => other.startsWith(`${key}.`)));
  assert.deepEqual(documented.map(({ key }) => key).sort(), [...leaves].sort());
  for (const { key, value } of documented) {
    const parsed = parseOmpConfig(objectOf(key, value));
    assert.ok("config" in parsed, `${key} = ${value} is read`);
    assert.deepEqual(valueAt(parsed.config, key), valueAt(defaultOmpConfig, key), key);
  }
});
