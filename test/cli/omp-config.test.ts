// The broker's configuration: what docs/configuration.md says of the defaults is what the code has.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brokerOptions, defaultOmpConfig, ompConfigKeys, parseOmpConfig } from "../../src/cli/omp-config.ts";

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
    const isText = !/^(?:number|bytes|boolean)/.test(kind) && !/^(?:0|false)$/.test(written);
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

test("mqtt.server_keepalive and mqtt.response_information: what is read, and what is not", () => {
  const read = (mqtt: Record<string, unknown>) => {
    const result = parseOmpConfig({ mqtt });
    return "problems" in result ? result.problems.map(({ message }) => message) : brokerOptions(result.config);
  };
  for (const server_keepalive of ["disabled", 0, 60, 65_535] as const) {
    assert.ok("serverKeepalive" in read({ server_keepalive }));
    assert.deepEqual(read({ server_keepalive }), { ...read({}), serverKeepalive: server_keepalive });
  }
  for (const server_keepalive of ["60", "60s", -1, 65_536, 1.5, true]) {
    assert.match(String(read({ server_keepalive })), /^mqtt\.server_keepalive must be "disabled" or a whole number/);
  }
  assert.deepEqual(read({ response_information: "a/b" }), { ...read({}), responseInformation: "a/b" });
  for (const response_information of [1, "a\0b", "ü".repeat(32_768)]) {
    assert.match(String(read({ response_information })), /^mqtt\.response_information must be text in quotes/);
  }
});
