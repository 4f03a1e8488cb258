// Imports messages from lines of JSON: in batches, each stored before more of the request is read, so that memory stays as it is.

import type { Message } from "../../mqtt/message.ts";
import type { Backlog } from "../../plugin/backlog.ts";
import { ApiError } from "../api-error.ts";
import { linesOf } from "./lines.ts";
import { parseLine } from "./parse-line.ts";
import { apiErrorOf } from "./running-backlog.ts";

/** Of a line, in bytes: a payload of three quarters of it in base64. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** Messages that are stored at once, and bytes of their payloads. */
const BATCH = { messages: 512, bytes: 4 * 1024 * 1024 };
/** Lines that are told of; others are counted. */
const MAX_ERRORS = 100;

/** By the names of the answer. */
export interface Imported {
  /** Lines that were read, but for empty ones. */
  lines: number;
  stored: number;
  already_stored: number;
  /** Past their expiry. */
  expired: number;
  failed: number;
  /** The first of those that failed. */
  readonly errors: { readonly line: number; readonly message: string }[];
}

interface Parsed {
  readonly line: number;
  readonly message: Message;
}

/**
 * Reads to the end. Rejects with `ApiError` 503 when the store is away: what was stored before stays. Rejects as the stream does.
 */
export async function importLines(stream: AsyncIterable<Buffer>, backlog: Backlog): Promise<Imported> {
  const imported: Imported = { lines: 0, stored: 0, already_stored: 0, expired: 0, failed: 0, errors: [] };
  let batch: Parsed[] = [];
  let bytes = 0;
  for await (const { number, bytes: content } of linesOf(stream, MAX_LINE_BYTES)) {
    if (content !== undefined && isBlank(content)) continue;
    imported.lines++;
    const message = content === undefined ? `the line has more than ${MAX_LINE_BYTES} bytes` : parseLine(content);
    if (typeof message === "string") {
      fail(imported, number, message);
      continue;
    }
    batch.push({ line: number, message });
    bytes += message.payload.length;
    if (batch.length < BATCH.messages && bytes < BATCH.bytes) continue;
    await store(backlog, batch, imported);
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) await store(backlog, batch, imported);
  imported.errors.sort((a, b) => a.line - b.line);
  return imported;
}

async function store(backlog: Backlog, batch: readonly Parsed[], imported: Imported): Promise<void> {
  const messages = batch.map(({ message }) => message);
  const outcomes = await backlog.add(messages).catch((error: unknown) => messages.map(() => error as Error));
  let away: ApiError | undefined;
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome === "stored") imported.stored++;
    else if (outcome === "already stored") imported.already_stored++;
    else if (outcome === "expired") imported.expired++;
    else {
      const error = apiErrorOf(outcome);
      if (error instanceof ApiError) away ??= error;
      // An error without a code is a mistake in the program.
      else if (!("code" in (outcome as Error))) throw outcome;
      fail(imported, batch[at]?.line ?? 0, (outcome as Error).message);
    }
  }
  if (away === undefined) return;
  const advice = `${imported.stored} messages were stored before: import all of it again when the store is back, none is stored twice`;
  throw new ApiError(away.status, away.code, `${away.message} ${advice}.`, { cause: away });
}

function fail(imported: Imported, line: number, message: string): void {
  imported.failed++;
  if (imported.errors.length < MAX_ERRORS) imported.errors.push({ line, message });
}

const BLANKS = new Set([0x20, 0x09, 0x0d]);

function isBlank(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (!BLANKS.has(byte)) return false;
  return true;
}
