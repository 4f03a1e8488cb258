// Keeps the project's shape: which folder may import which, no circular imports, a first line that states each file's
// duty, files that one can read, and every error code explained.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** What each folder of src/ may import of the others: a whole folder, or single files. `*`: everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  mqtt: [],
  hocon: ["mqtt"],
  files: [],
  tls: ["mqtt"],
  plugin: ["mqtt", "store/store.ts", "store/errors.ts"],
  sqlite: ["mqtt", "files"],
  store: ["mqtt", "sqlite"],
  engine: ["mqtt", "plugin", "store", "tls"],
  broker: ["mqtt", "sqlite", "tls", "plugin/host.ts", "plugin/hooks.ts"],
  emqx: ["mqtt", "files", "tls", "plugin", "engine", "sqlite"],
  management: ["mqtt", "files", "hocon", "tls", "plugin", "store", "broker"],
  backup: ["mqtt", "files", "sqlite", "broker/persistence/schema.ts", "store/sqlite/migrations/migrations.ts"],
  cli: ["*"],
  "index.ts": ["*"],
};

const MAX_LINES = 400;
/** Files that are longer, and why they are not split. */
const LONGER: Readonly<Record<string, string>> = {};

const IMPORT =
  /^(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)|new URL\(\s*"(\.[^"]+\.ts)"/gm;
const DUTY = /^\/\/ \S/;

const sources = list("src/**/*.ts");
const all = [...sources, ...list("test/**/*.ts"), ...list("bench/**/*.ts"), ...list("tools/**/*.ts")];

function list(pattern: string): string[] {
  return globSync(pattern, { cwd: root, exclude: (name) => name.includes("node_modules") }).sort();
}

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** The project's files that a file imports; with `runtime` only those that are loaded, without `import type`. */
function importsOf(file: string, kind: "all" | "runtime" = "all"): string[] {
  return [...read(file).matchAll(IMPORT)]
    .filter(([statement]) => kind === "all" || !/^(?:import|export)\s+type\b/.test(statement))
    .map(([, from, alone, dynamic, url]) => from ?? alone ?? dynamic ?? url ?? "")
    .filter((target) => target.startsWith("."))
    .map((target) => relative(root, resolve(root, dirname(file), target)));
}

test("there are files to look at", () => {
  assert.ok(sources.length > 50, `${sources.length} sources`);
  assert.ok(importsOf("src/cli/embedded-broker.ts").includes("src/broker/broker.ts"));
});

test("folders import only what lies below them", () => {
  const wrong: string[] = [];
  for (const file of sources) {
    const folder = file.split("/")[1] ?? "";
    const allowed = MAY_IMPORT[folder];
    assert.ok(allowed, `${file}: name the folder ${folder} in MAY_IMPORT`);
    for (const target of importsOf(file)) {
      const inSources = target.replace(/^src\//, "");
      const targetFolder = inSources.split("/")[0] ?? "";
      const isAllowed =
        targetFolder === folder ||
        allowed.includes("*") ||
        allowed.includes(targetFolder) ||
        allowed.includes(inSources);
      if (!target.startsWith("src/") || !isAllowed) wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("no import is circular (types may know of each other)", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
      return;
    }
    if (done.has(file)) return;
    for (const target of importsOf(file, "runtime")) {
      if (target.startsWith("src/") && target.endsWith(".ts")) visit(target, [...path, file]);
    }
    done.add(file);
  };
  for (const file of sources) visit(file, []);
  assert.deepEqual(circles, []);
});

test("the first line of every file states its duty", () => {
  const missing = all.filter((file) => {
    const [first = "", second = ""] = read(file).split("\n");
    return !DUTY.test(first.startsWith("#!") ? second : first);
  });
  assert.deepEqual(missing, []);
});

test(`no source has more than ${MAX_LINES} lines without a reason`, () => {
  const long = sources.filter((file) => read(file).split("\n").length > MAX_LINES);
  assert.deepEqual(
    long.filter((file) => !LONGER[file]),
    [],
  );
  assert.deepEqual(
    Object.keys(LONGER).filter((file) => !long.includes(file)),
    [],
    "no longer long: remove from LONGER",
  );
});

test("every error code is explained in docs/errors.md, and no other", () => {
  const used = new Set<string>();
  for (const text of sources.map(read)) {
    if (!/\bextends \w*Error\b/.test(text)) continue;
    for (const [, code = ""] of text.matchAll(/"([A-Z][A-Z0-9]*_[A-Z0-9_]+|FORBIDDEN)"/g)) used.add(code);
  }
  assert.ok(used.size > 5, "codes were found");
  const explained = [...read("docs/errors.md").matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map(([, code = ""]) => code);
  assert.deepEqual(explained.toSorted(), [...used].sort());
});

test("every key of both configuration files is explained in docs/configuration.md", async () => {
  const { pluginConfigKeys } = await import("../src/plugin/config.ts");
  const { ompConfigKeys } = await import("../src/cli/omp-config.ts");
  const keys = [...pluginConfigKeys, ...ompConfigKeys];
  const sections = keys.filter((key) => keys.some((other) => other.startsWith(`${key}.`)));
  const explained = new Set(
    [...read("docs/configuration.md").matchAll(/^\| `([a-z0-9_.]+)` \|/gm)].map(([, key]) => key),
  );
  assert.deepEqual(
    keys.filter((key) => !sections.includes(key) && !explained.has(key)),
    [],
  );
  assert.deepEqual(
    [...explained].filter((key) => !keys.includes(key ?? "")),
    [],
  );
});

test("the lock files name every package that some platform needs", () => {
  // `npm install` beside an existing node_modules may leave out those of other platforms, and `npm ci` fails without them.
  for (const file of ["package-lock.json", "tools/node/package-lock.json"]) {
    const packages: Readonly<Record<string, { optionalDependencies?: object }>> = JSON.parse(read(file)).packages;
    const optional = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).map((name) => ({ path, name })),
    );
    assert.ok(optional.length > 0, `${file}: optional packages were found`);
    const missing = optional.filter(
      ({ path, name }) => !packages[`${path}/node_modules/${name}`] && !packages[`node_modules/${name}`],
    );
    assert.deepEqual(missing, [], `${file}: remove node_modules and the lock file, and run npm install`);
  }
});

test("links between documents lead somewhere", () => {
  const broken: string[] = [];
  for (const file of [...list("*.md"), ...list("docs/**/*.md")]) {
    for (const [, target = ""] of read(file).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
      if (globSync(join(dirname(file), target), { cwd: root }).length === 0) broken.push(`${file}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});
