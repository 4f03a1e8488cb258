// Where the dashboard lies that `make dashboard` has built.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../_build/dashboard", import.meta.url));

/** Undefined: it is not built. */
export function dashboardFolder(): string | undefined {
  return existsSync(`${FOLDER}/index.html`) ? FOLDER : undefined;
}
