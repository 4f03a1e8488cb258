// Temporary directories that go away with the test.

import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Anything with `after`: a TestContext, or `{ after }` of node:test for a directory that a whole file shares. */
export interface Scope {
  after(callback: () => void | Promise<void>): void;
}

/** Makes an empty directory that is removed after the test. */
export function temporaryDirectory(scope: Scope): string {
  const directory = mkdtempSync(join(tmpdir(), "omp-test-"));
  scope.after(() => {
    // A test may have taken the right to write away.
    chmodSync(directory, 0o700);
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** A scope that undoes things in reverse order, after the test: what lies in a directory ends before the directory goes. */
export function inReverse(scope: Scope): Scope {
  const callbacks: (() => void | Promise<void>)[] = [];
  scope.after(async () => {
    for (let callback = callbacks.pop(); callback !== undefined; callback = callbacks.pop()) await callback();
  });
  return { after: (callback) => callbacks.push(callback) };
}
