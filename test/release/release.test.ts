// `make rel`: the layout of the package, the same bytes each time, and a module that runs where nothing else is installed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { list } from "tar";
import { OLDEST_NODE } from "../../src/emqx/node-version.ts";
import { PLUGIN_NAME } from "../../src/engine/release-info.ts";
import { version } from "../../src/mqtt/version.ts";
import { ENGINE_FILE } from "../../src/plugin/engine-module.ts";
import { EMQX_ENGINE_FILE, ROOT } from "../../tools/release/bundle.ts";
import { runChild } from "../support/child.ts";
import { inReverse, temporaryDirectory } from "../support/temporary-directory.ts";

const NAME = `${PLUGIN_NAME}-${version()}`;
const MAIN = `${NAME}/${NAME}`;
/** A build takes seconds, more on a busy machine, in ms. */
const BUILD_TIMEOUT = 120_000;

async function build(directory: string, umask: string): Promise<Buffer> {
  const command = `umask ${umask} && exec "$0" tools/release/release.ts "$1"`;
  const result = await runChild("sh", ["-c", command, process.execPath, directory], {
    cwd: ROOT,
    timeout: BUILD_TIMEOUT,
  });
  assert.equal(result.code, 0, result.stderr);
  return readFileSync(join(directory, `${NAME}.tar.gz`));
}

describe("the release package", () => {
  const directory = temporaryDirectory(inReverse({ after }));
  let archive: Buffer;
  before(async () => {
    archive = await build(directory, "022");
  });

  test("has the layout of EMQX's packages, and nothing but files below one directory", async () => {
    const names: string[] = [];
    const types = new Set<string>();
    await list({
      file: join(directory, `${NAME}.tar.gz`),
      onReadEntry: ({ path, type, mode }) => {
        names.push(path);
        types.add(`${type} ${mode?.toString(8)}`);
      },
    });
    assert.deepEqual(types, new Set(["File 644"]));
    const parts = names.map((name) =>
      name.replace(/(\/src\/\w+)\/.*/, "$1").replace(/(\/(?:ebin|erlang\/src)\/).*(\.\w+)$/, "$1*$2"),
    );
    assert.deepEqual(
      [...new Set(parts)],
      [
        ...["LICENSE", "NOTICE", "README.md"].map((file) => `${NAME}/${file}`),
        ...["*.app", "*.beam"].map((file) => `${MAIN}/ebin/${file}`),
        `${MAIN}/${EMQX_ENGINE_FILE}`,
        `${MAIN}/${ENGINE_FILE}`,
        ...["*.src", "*.erl", "*.hrl"].map((file) => `${MAIN}/erlang/src/${file}`),
        ...["config.hocon", "config_i18n.json", "config_schema.avsc"].map((file) => `${MAIN}/priv/${file}`),
        ...["emqx", "engine", "files", "mqtt", "plugin", "sqlite", "store", "tls"].map(
          (folder) => `${MAIN}/src/${folder}`,
        ),
        `${NAME}/release.json`,
      ],
    );
    assert.ok(names.includes(`${MAIN}/src/store/sqlite/worker.ts`));
    assert.ok(names.includes(`${MAIN}/ebin/${PLUGIN_NAME}_app.beam`));
  });

  test("release.json has EMQX's keys", () => {
    const { git_ref, git_commit_or_build_date, ...info } = JSON.parse(
      readFileSync(join(directory, NAME, "release.json"), "utf8"),
    );
    assert.match(git_ref, /^(?:[0-9a-f]{7,}(?:-changed)?|unknown(?:-changed)?)$/);
    assert.match(git_commit_or_build_date, /^(?:\d{4}-\d\d-\d\d|unknown)$/);
    assert.equal(info.name, PLUGIN_NAME);
    assert.equal(info.rel_vsn, version());
    assert.deepEqual(info.rel_apps, [NAME]);
    assert.deepEqual(Object.keys(info.compatibility), ["emqx", "omp"]);
    assert.equal(info.compatibility.emqx, "~> 5.8 or ~> 6.0");
    assert.equal(info.built_on_otp_release, `node ${process.versions.node.split(".")[0]}`);
    const keys = [
      ...["authors", "builder", "built_on_otp_release", "compatibility", "description", "emqx_plugrel_vsn"],
      ...["functionality", "hidden", "metadata_vsn", "name", "rel_apps", "rel_vsn", "repo", "with_config_schema"],
    ];
    assert.deepEqual(Object.keys(info).sort(), keys);
  });

  test("its README says how it is installed, under the names of this release, and what the engine needs", () => {
    const readme = readFileSync(join(directory, NAME, "README.md"), "utf8");
    const names = new Set(readme.match(/emqx_offline_message_plugin-[\w.]*\d/g));
    assert.deepEqual(names, new Set([NAME]));
    for (const part of [`emqx ctl plugins allow ${NAME}`, `@${NAME}.tar.gz`, "/api/v5/plugins/install"]) {
      assert.ok(readme.includes(part), part);
    }
    const sentence = new RegExp(`\\*\\*Node\\.js ${OLDEST_NODE} or newer\\*\\* on EMQX's machine`);
    assert.match(readme, sentence);
    for (const part of ["`spawn`", "`connect`", "omp emqx-plugin", "engine.secret"])
      assert.ok(readme.includes(part), part);
  });

  test("docs/plugins.md shows what is in it", () => {
    const document = readFileSync(join(ROOT, "docs/plugins.md"), "utf8");
    const [, tree = ""] = document.match(/^```\n(emqx_offline_message_plugin-[\d.]+\/\n.*?)^```/ms) ?? [];
    const shown = tree
      .split("\n")
      .flatMap((line) => line.replace(/#.*/, "").trim().split(/\s+/))
      .filter((name) => name !== "");
    const there = (folder: string) =>
      readdirSync(folder, { withFileTypes: true }).map((entry) => `${entry.name}${entry.isDirectory() ? "/" : ""}`);
    const names = [`${NAME}/`, ...there(join(directory, NAME)), ...there(join(directory, NAME, NAME))];
    assert.deepEqual(shown.sort(), names.sort());
  });

  test("the sum beside it is that of the package", () => {
    const sum = createHash("sha256").update(archive).digest("hex");
    assert.equal(readFileSync(join(directory, `${NAME}.tar.gz.sha256`), "utf8"), `${sum}  ${NAME}.tar.gz\n`);
  });

  test("another build gives the same bytes, whatever the umask", async (t) => {
    assert.ok((await build(temporaryDirectory(t), "077")).equals(archive));
  });

  test("the notice names each package with its licence", () => {
    const notice = readFileSync(join(directory, NAME, "NOTICE"), "utf8");
    for (const name of ["ioredis", "mysql2"]) assert.match(notice, new RegExp(`^${name} [\\d.]+ \\(MIT\\)$`, "m"));
    assert.match(notice, /Permission is hereby granted/);
  });

  test("its module runs by itself, database thread included", async (t) => {
    const alone = temporaryDirectory(t);
    copyFileSync(join(directory, NAME, NAME, ENGINE_FILE), join(alone, ENGINE_FILE));
    writeFileSync(
      join(alone, "use.mjs"),
      `import { contract, checkConfig, createEngine } from "./${ENGINE_FILE}";
      const quiet = () => {};
      const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
      const use = async (backend) => {
        const config = { [backend]: { enable: true, topics: ["#"], [backend === "redis" ? "servers" : "server"]: "127.0.0.1:1" } };
        if (backend === "sqlite") delete config.sqlite.server;
        const problems = await checkConfig(config, import.meta.filename);
        const engine = await createEngine({ host: { giveIdsAbove: quiet, messagesRemoved: quiet }, logger, config, configPath: import.meta.filename });
        await engine.start();
        const message = { id: "0".repeat(32), topic: "t", qos: 1, retain: false, payload: Buffer.from("x"), from: "c", timestamp: Date.now() };
        const published = engine.storeHealth().status === "ok" ? await engine.hooks.messagePublish(message) : "";
        console.log(backend, problems.length, engine.storeHealth().status, published);
        await engine.stop();
      };
      console.log(contract);
      for (const backend of ["sqlite", "redis", "mysql"]) await use(backend);
      `,
    );
    const { stdout, stderr, code } = await runChild(process.execPath, ["use.mjs"], {
      cwd: alone,
      env: {},
      timeout: BUILD_TIMEOUT,
    });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "3\nsqlite 0 ok stored\nredis 0 error \nmysql 0 error \n");
    assert.ok(readFileSync(join(alone, "messages.db")).toString("latin1").startsWith("SQLite format 3"));
  });
});
