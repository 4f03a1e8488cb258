// Fonts of the browser in tests: the machine's own, and one that has Chinese, in a fontconfig file that only they use.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debianFiles } from "./debian-tool.ts";
import { type Scope, temporaryDirectory } from "./temporary-directory.ts";

/** 1.6 MB, and needs no other package. */
const { root, missing } = await debianFiles(["fonts-wqy-microhei"]);

/** Why Chinese is drawn as boxes; undefined: it is not. */
export const chineseFontMissing: string | undefined = missing;
if (missing !== undefined) console.error(`CHINESE IS DRAWN AS BOXES: ${missing}`);

/** The environment in which a program finds them, until the scope ends. */
export function fontEnvironment(scope: Scope): NodeJS.ProcessEnv {
  if (root === undefined) return {};
  const directory = temporaryDirectory(scope);
  const cache = join(directory, "cache");
  mkdirSync(cache);
  const file = join(directory, "fonts.conf");
  writeFileSync(
    file,
    `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>/usr/share/fonts</dir>
  <dir>${join(root, "usr/share/fonts")}</dir>
  <cachedir>${cache}</cachedir>
</fontconfig>
`,
  );
  return { FONTCONFIG_FILE: file };
}
