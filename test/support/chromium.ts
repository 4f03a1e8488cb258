// Debian's Chromium without a window as a browser of tests, driven by playwright-core: one process for a file of tests, a clean
// context for each test. (With a window, even one that is not shown, its offer to keep a changed password takes every click.)

import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { debianTool } from "./debian-tool.ts";
import { fontEnvironment } from "./fonts.ts";
import { inReverse, type Scope } from "./temporary-directory.ts";

const { tool, missing } = await debianTool(["chromium-headless-shell"], "chromium-headless-shell");

/** Why there is no browser; undefined: there is. Give it to a test's `skip`. */
export const chromiumMissing: string | undefined = missing;
if (chromiumMissing !== undefined) console.error(`THE DASHBOARD IS NOT TESTED: ${chromiumMissing}`);

/** More than a busy machine needs until something is on a page, in ms. */
const PATIENCE = 60_000;

export interface OpenPage {
  readonly page: Page;
  /** What went wrong in the page: errors of scripts and of the content-security policy, requests to elsewhere. */
  readonly problems: readonly string[];
}

export class TestBrowser {
  readonly #browser: Browser;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** An empty page in a context of its own, closed after the test. Requests to other hosts than this machine are refused and noted. */
  async open(scope: Scope, options: BrowserContextOptions = {}): Promise<OpenPage> {
    const context = await this.#browser.newContext({
      viewport: { width: 1280, height: 800 },
      locale: "en-GB",
      // What moves may be elsewhere between the two halves of a click.
      reducedMotion: "reduce",
      ...options,
    });
    scope.after(() => context.close());
    const problems: string[] = [];
    await context.route(
      ({ hostname, protocol }) => protocol.startsWith("http") && hostname !== "127.0.0.1",
      (route) => {
        problems.push(`request to ${route.request().url()}`);
        return route.abort();
      },
    );
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", ({ message }) => problems.push(message));
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" && !text.startsWith("Failed to load resource")) problems.push(text);
    });
    return { page, problems };
  }
}

/** Started for a file of tests, and ended after it. */
export async function startChromium(scope: Scope): Promise<TestBrowser> {
  if (tool === undefined) throw new Error(missing);
  // Debian's command is a script that looks for its files below /usr.
  const executablePath =
    tool.root === undefined ? tool.path : join(tool.root, "usr/lib/chromium/chromium-headless-shell");
  const inner = inReverse(scope);
  const env = { ...tool.env, ...fontEnvironment(inner) } as Record<string, string>;
  const browser = await chromium.launch({ executablePath, env, args: ["--no-sandbox", "--disable-gpu"] });
  inner.after(() => browser.close());
  return new TestBrowser(browser);
}
