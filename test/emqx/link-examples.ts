// The examples of docs/emqx-link.md as bytes: what both ends are tested against.

import { readFileSync } from "node:fs";

const DOCUMENT = new URL("../../docs/emqx-link.md", import.meta.url);

/** By the name of the frame; the bytes with the length in front. Hexadecimal digits, `11×16` for repeated bytes, `"text"`. */
export function linkExamples(): ReadonlyMap<string, Buffer> {
  const [, block = ""] = readFileSync(DOCUMENT, "utf8").match(/## Examples[\s\S]*?```\n([\s\S]*?)```/) ?? [];
  const frames = new Map<string, Buffer>();
  let name = "";
  for (const line of block.trimEnd().split("\n")) {
    const [, newName = "", fields = ""] = line.match(/^([A-Z_]*)\s+(.*)$/) ?? [];
    if (newName !== "") name = newName;
    frames.set(name, Buffer.concat([frames.get(name) ?? Buffer.alloc(0), ...bytesOf(fields)]));
  }
  return frames;
}

function bytesOf(fields: string): Buffer[] {
  return [...fields.matchAll(/"([^"]*)"|([0-9a-f]{2})×(\d+)|([0-9a-f]+)/g)].map(([, text, byte, times, digits]) => {
    if (text !== undefined) return Buffer.from(text);
    if (byte !== undefined) return Buffer.alloc(Number(times), Number.parseInt(byte, 16));
    return Buffer.from(digits ?? "", "hex");
  });
}
