// What is to be undone at the end, in reverse order.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

export class Cleanup {
  readonly #callbacks: (() => void | Promise<void>)[] = [];

  after(callback: () => void | Promise<void>): void {
    this.#callbacks.push(callback);
  }

  /** Makes an empty directory under this one. */
  directory(parent: string): string {
    mkdirSync(parent, { recursive: true });
    const directory = mkdtempSync(join(parent, "bench-"));
    this.after(() => rmSync(directory, { recursive: true, force: true }));
    return directory;
  }

  async run(): Promise<void> {
    for (let callback = this.#callbacks.pop(); callback !== undefined; callback = this.#callbacks.pop())
      await callback();
  }
}
