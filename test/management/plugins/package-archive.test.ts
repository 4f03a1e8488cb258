// Packages are read whole, or refused with what is wrong with them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ApiError } from "../../../src/management/api-error.ts";
import { readPackage } from "../../../src/management/plugins/package-archive.ts";
import { MAIN, NAME, packageOf, releaseJson, type SampleEntry, sampleFiles, tarOf } from "./sample-package.ts";

test("a package is read with all its files, directories passed over", async () => {
  const files = sampleFiles();
  const directory = { path: `${NAME}/${MAIN}/`, type: "Directory" } as const;
  const { info, files: found } = await readPackage(packageOf(files, [directory]), NAME);
  assert.equal(info.description, "A sample.");
  assert.deepEqual(Object.fromEntries([...found].map(([path, data]) => [`${NAME}/${path}`, data.toString()])), files);
});

test("paths may begin with ./, as tar writes them", async () => {
  const files = Object.fromEntries(Object.entries(sampleFiles()).map(([path, content]) => [`./${path}`, content]));
  const top = ["./", `./${NAME}/`].map((path) => ({ path, type: "Directory" as const }));
  const { files: found } = await readPackage(packageOf(files, top), NAME);
  assert.ok(found.has("release.json"));
});

test("the name in release.json is the application's, which has no dash", async () => {
  const archive = packageOf({ "a-b-1/release.json": releaseJson({ name: "a-b", rel_vsn: "1", rel_apps: ["a-1"] }) });
  await assert.rejects(readPackage(archive, "a-b-1"), /is of a-b, version 1, and not of a-b-1/);
});

function without(path: string): Record<string, string> {
  const { [path]: _, ...others } = sampleFiles();
  return others;
}

const release = (changes: Readonly<Record<string, unknown>>) =>
  packageOf({ ...sampleFiles(), [`${NAME}/release.json`]: releaseJson(changes) });
const withEntry = (entry: SampleEntry) => packageOf(sampleFiles(), [entry]);
const whole = packageOf(sampleFiles());

const bad: Readonly<Record<string, readonly [archive: Uint8Array, problem: RegExp]>> = {
  "no gzip file": [Buffer.from("hello"), /no whole gzip file/],
  "an empty file": [Buffer.alloc(0), /no whole gzip file/],
  "a gzip file that ends early": [whole.subarray(0, whole.length - 20), /no whole gzip file/],
  "a gzip file of a text": [gzipSync("hello"), /no tar file/],
  "a gzip file in another": [gzipSync(whole), /no tar file/],
  "a tar file that was damaged": [
    gzipSync(tarOf([{ path: `${NAME}/a`, content: "a" }]).fill(1, 20, 40)),
    /cannot be read: /,
  ],
  "more bytes than there may be": [gzipSync(Buffer.alloc(65 * 1024 * 1024)), /more than 67108864 bytes/],
  "more files than there may be": [
    packageOf(
      {},
      Array.from({ length: 10_001 }, (_, at) => ({ path: `${NAME}/${at}` })),
    ),
    /more than 10000 files/,
  ],
  "a path that leads up": [withEntry({ path: `${NAME}/../evil` }), /path that is not allowed: ".*evil"/],
  "an absolute path": [withEntry({ path: "/etc/evil" }), /path that is not allowed/],
  "a path with a line break": [withEntry({ path: `${NAME}/a\nb` }), /path that is not allowed/],
  "a path with a backslash": [withEntry({ path: `${NAME}/..\\evil` }), /path that is not allowed/],
  "a path with an empty part": [withEntry({ path: `${NAME}//evil` }), /path that is not allowed/],
  "a symbolic link": [
    withEntry({ path: `${NAME}/link`, type: "SymbolicLink", linkpath: "/etc/passwd" }),
    /neither file nor directory \(SymbolicLink\)/,
  ],
  "a hard link": [
    withEntry({ path: `${NAME}/link`, type: "Link", linkpath: `${NAME}/README.md` }),
    /neither file nor directory \(Link\)/,
  ],
  "a device": [withEntry({ path: `${NAME}/null`, type: "CharacterDevice" }), /neither file nor directory/],
  "a pipe": [withEntry({ path: `${NAME}/pipe`, type: "FIFO" }), /neither file nor directory/],
  "a second directory at the top": [
    withEntry({ path: "other/file" }),
    /has other\/file outside of sample_plugin-1\.0\.0/,
  ],
  "a file at the top": [withEntry({ path: "file" }), /has file outside of/],
  "a file in the place of its directory": [packageOf({ [NAME]: "x" }), /in the place of the directory/],
  "a file that comes twice": [withEntry({ path: `${NAME}/README.md`, content: "other" }), /README\.md twice/],
  "a file that is a directory too": [
    withEntry({ path: `${NAME}/README.md/inner`, content: "x" }),
    /README\.md as a file and as a directory/,
  ],
  "no release.json": [packageOf(without(`${NAME}/release.json`)), /release\.json is missing/],
  "a release.json that is no JSON": [
    packageOf({ ...sampleFiles(), [`${NAME}/release.json`]: "{" }),
    /release\.json is no JSON/,
  ],
  "a release.json that is a list": [
    packageOf({ ...sampleFiles(), [`${NAME}/release.json`]: "[]" }),
    /release\.json is no object/,
  ],
  "another name": [release({ name: "other" }), /is of other, version 1\.0\.0, and not of sample_plugin-1\.0\.0/],
  "another version": [release({ rel_vsn: "1.0.1" }), /is of sample_plugin, version 1\.0\.1/],
  "no description": [release({ description: "" }), /lacks description/],
  "no rel_apps": [release({ rel_apps: [] }), /lacks rel_apps/],
  "rel_apps with a path": [release({ rel_apps: ["../evil-1"] }), /lacks rel_apps/],
  "a release.json that is too large": [
    packageOf({ ...sampleFiles(), [`${NAME}/release.json`]: releaseJson({ more: "x".repeat(65_536) }) }),
    /more than 65536 bytes in its release\.json/,
  ],
  "directories without end": [withEntry({ path: `${NAME}/${"d/".repeat(40)}f` }), /path that is not allowed/],
  "a file under a name of the broker's": [
    withEntry({ path: `${NAME}/.md5sum`, content: "x" }),
    /a name that the broker uses/,
  ],
  "a schema that is no JSON": [
    packageOf({ ...sampleFiles(), [`${NAME}/${MAIN}/priv/config_schema.avsc`]: "{" }),
    /config_schema\.avsc that cannot be read/,
  ],
  "a configuration that is no HOCON": [
    packageOf({ ...sampleFiles(), [`${NAME}/${MAIN}/priv/config.hocon`]: "a = [" }),
    /config\.hocon that cannot be read/,
  ],
  "a directory in the place of a file that is read": [
    packageOf(without(`${NAME}/README.md`), [{ path: `${NAME}/README.md/inner`, content: "x" }]),
    /has README\.md as a directory/,
  ],
  "a package for EMQX alone": [
    packageOf(without(`${NAME}/${MAIN}/engine.mjs`)),
    /for EMQX alone: it has no engine module/,
  ],
};

for (const [name, [archive, problem]] of Object.entries(bad)) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(readPackage(archive, NAME), (error: unknown) => {
      assert.ok(error instanceof ApiError, String(error));
      assert.deepEqual({ status: error.status, code: error.code }, { status: 400, code: "BAD_PLUGIN_INFO" });
      assert.match(error.message, problem);
      assert.ok(error.message.startsWith(`${NAME}.tar.gz `), error.message);
      return true;
    });
  });
}
