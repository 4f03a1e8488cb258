// The manifest of a backup: what it may say, up to its bounds.

import assert from "node:assert/strict";
import test from "node:test";
import { MAX_FILE, type ManifestFile, newManifest, parseManifest } from "../../src/backup/manifest.ts";

const CREATED = new Date(Date.UTC(2026, 0, 31));

function parsed(files: readonly unknown[]) {
  return parseManifest(JSON.stringify(newManifest("0.1.0", CREATED, files as readonly ManifestFile[])));
}

test("what is written is read", () => {
  const files: ManifestFile[] = [
    { path: "broker.db", size: 2 ** 45, database: "broker" },
    { path: "plugins/a-1.0/.md5sum", size: MAX_FILE },
    { path: "..a/b..", size: 0 },
  ];
  assert.deepEqual(parsed(files), { format: 1, version: "0.1.0", created: "2026-01-31T00:00:00.000Z", files });
});

const bad: readonly [name: string, files: readonly unknown[], problem: RegExp][] = [
  [
    "too many files",
    Array.from({ length: 100_001 }, (_, at) => ({ path: `${at}`, size: 0 })),
    /more than 100000 files/,
  ],
  ["too large a file", [{ path: "a", size: MAX_FILE + 1 }], /more than \d+ bytes in a/],
  ["no size", [{ path: "a" }], /does not say the size of a/],
  ["a negative size", [{ path: "a", size: -1 }], /does not say the size of a/],
  ["half a byte", [{ path: "a", size: 0.5 }], /does not say the size of a/],
  [
    "a file twice",
    [
      { path: "a", size: 0 },
      { path: "a", size: 0 },
    ],
    /names a file twice/,
  ],
  ["an unknown database", [{ path: "a", size: 0, database: "other" }], /database of an unknown kind: a/],
  ["no file at all", [null], /path that is not allowed/],
  ...[
    "",
    "/a",
    "a/",
    "a//b",
    "./a",
    "a/../b",
    "..",
    "a\\b",
    "a\nb",
    "a\u0000b",
    "control.sock",
    ".restore/begun",
    "x".repeat(256),
    Array.from({ length: 41 }, () => "a").join("/"),
    Array.from({ length: 5 }, () => "x".repeat(250)).join("/"),
  ].map((path): [string, unknown[], RegExp] => [
    `the path ${JSON.stringify(path.slice(0, 20))}`,
    [{ path, size: 0 }],
    /path that is not allowed/,
  ]),
];

for (const [name, files, problem] of bad) {
  test(`refuses ${name}`, () => {
    const result = parsed(files);
    assert.match(typeof result === "string" ? result : "it was read", problem);
  });
}

test("refuses a manifest without release, time or files", () => {
  for (const text of [
    "null",
    "5",
    "{}",
    '{"format":1}',
    '{"format":1,"version":"1","created":"now","files":[]}',
    '{"format":0,"version":"1"}',
  ]) {
    assert.match(String(parseManifest(text)), /^has a manifest that /);
  }
});
