// `make rel`: builds the release package of the plugin, with the layout of EMQX's, and the same bytes for the same commit.
//
// An argument names another folder to build it in.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { create } from "tar";
import { PLUGIN_NAME, releaseInfo } from "../../src/engine/release-info.ts";
import { version } from "../../src/mqtt/version.ts";
import { ENGINE_FILE } from "../../src/plugin/engine-module.ts";
import { bundleEmqxEngine, bundleEngine, EMQX_ENGINE_FILE, ROOT } from "./bundle.ts";
import { configProblems } from "./check-config.ts";
import { compileErlang, ERLANG } from "./erlang.ts";
import { noticeOf } from "./notice.ts";

/** By default where EMQX's own plugins are built, too. */
const OUTPUT = resolve(process.argv[2] ?? join(ROOT, "_build/default/emqx_plugrel"));
/** Whatever the files of the checkout have. */
const FILE_MODE = 0o644;
/** The folders that both modules are made of. */
const SOURCES = ["emqx", "engine", "files", "mqtt", "plugin", "sqlite", "store", "tls"];
const PRIV = join(ROOT, "src/plugin/priv");

const nameAndVersion = `${PLUGIN_NAME}-${version()}`;
const staging = join(OUTPUT, nameAndVersion);
const application = join(staging, nameAndVersion);
const archive = `${staging}.tar.gz`;

const text = (file: string) => readFileSync(join(PRIV, file), "utf8");
const problems = configProblems({
  hocon: text("config.hocon"),
  schema: text("config_schema.avsc"),
  texts: text("config_i18n.json"),
});
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}

const commit = git("log -1 --format=%ct,%cs,%h").trim().split(",");
const [seconds = "0", date = "unknown", hash = "unknown"] = commit.length === 3 ? commit : [];
const ref = git("status --porcelain") === "" ? hash : `${hash}-changed`;
const [node = ""] = process.versions.node.split(".");

rmSync(staging, { recursive: true, force: true });
const { code, packages } = await bundleEngine();
const emqx = await bundleEmqxEngine();
if (emqx.packages.length > 0) throw new Error(`${EMQX_ENGINE_FILE} has packages in it: ${emqx.packages.join(", ")}`);
write(staging, "release.json", `${JSON.stringify(releaseInfo(version(), node, { ref, date }), null, 2)}\n`);
write(staging, "README.md", readFileSync(join(ROOT, "src/plugin/README.md"), "utf8"));
write(staging, "LICENSE", readFileSync(join(ROOT, "LICENSE"), "utf8"));
write(staging, "NOTICE", noticeOf(packages));
write(application, ENGINE_FILE, code);
write(application, EMQX_ENGINE_FILE, emqx.code);
copy(PRIV, join(application, "priv"));
await compileErlang(join(application, "ebin"));
for (const file of filesIn(join(application, "ebin"))) chmodSync(join(application, "ebin", file), FILE_MODE);
copy(ERLANG, join(application, "erlang"));
for (const folder of SOURCES) copy(join(ROOT, "src", folder), join(application, "src", folder));

await create(
  {
    file: archive,
    cwd: OUTPUT,
    gzip: { level: 9, portable: true } as object,
    portable: true,
    mtime: new Date(Number(seconds) * 1000),
    noDirRecurse: true,
  },
  filesIn(staging).map((file) => join(nameAndVersion, file)),
);
const sum = createHash("sha256").update(readFileSync(archive)).digest("hex");
writeFileSync(`${archive}.sha256`, `${sum}  ${nameAndVersion}.tar.gz\n`);
console.log(`${relative(process.cwd(), archive)}\n${relative(process.cwd(), archive)}.sha256`);

function copy(from: string, to: string): void {
  for (const file of filesIn(from)) write(to, file, readFileSync(join(from, file)));
}

function write(folder: string, file: string, content: string | Uint8Array): void {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, FILE_MODE);
}

function filesIn(folder: string): string[] {
  return globSync("**/*", { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** Nothing where there is no git or no repository. */
function git(command: string): string {
  try {
    return execFileSync("git", command.split(" "), {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return "";
  }
}
