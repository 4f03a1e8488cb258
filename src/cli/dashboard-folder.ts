// Where the dashboard lies: as `make dashboard` has built it, or in the npm package.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDERS = ["../../_build/dashboard", "../dashboard"].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** Undefined: it is not built. */
export function dashboardFolder(): string | undefined {
  return FOLDERS.find((folder) => existsSync(`${folder}/index.html`));
}
