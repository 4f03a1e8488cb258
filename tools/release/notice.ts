// The notice of a bundle: the packages that are in it, with their licences.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./bundle.ts";

const LICENCE_FILE = /^(?:licen[cs]e|copying|notice)(?:[.-].*)?$/i;

/** Throws for a package that does not say under which licence it is. */
export function noticeOf(packages: readonly string[]): string {
  const parts = packages.map((name) => {
    const folder = join(ROOT, "node_modules", name);
    const { version, license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    if (typeof license !== "string") throw new Error(`${name} ${version} does not say under which licence it is`);
    const texts = readdirSync(folder)
      .filter((file) => LICENCE_FILE.test(file))
      .sort()
      .map((file) => readFileSync(join(folder, file), "utf8").trim());
    const by = typeof author === "string" ? author : (author?.name ?? "");
    const terms = texts.length > 0 ? texts.join("\n\n") : `Licence: ${license}. By ${by || "its authors"}.`;
    return `${name} ${version} (${license})\n\n${terms}`;
  });
  return `These packages are part of the module in this release:\n\n${parts.join(`\n\n${"-".repeat(72)}\n\n`)}\n`;
}
