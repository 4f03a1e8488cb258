// Exports stored messages as lines of JSON, and imports such lines.

import { ApiError, open } from "./request.ts";
import { upload } from "./upload.ts";

export interface Imported {
  readonly lines: number;
  readonly stored: number;
  readonly already_stored: number;
  readonly expired: number;
  readonly failed: number;
  /** The first of those that failed. */
  readonly errors: readonly { readonly line: number; readonly message: string }[];
}

const LINES = "application/x-ndjson";
/** What has come is handed to the browser in pieces of so many bytes, which it may keep on disk. */
const PIECE = 8 * 1024 * 1024;

/** `progress`: bytes so far. Rejects with `ApiError`, also when the broker ends it in the middle, or as the signal says. */
export async function exportMessages(
  topic: string,
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const path = `/offline_messages/export?${new URLSearchParams({ topic })}`;
  const { body } = await open({ path, signal });
  const pieces: Blob[] = [];
  let chunks: Uint8Array<ArrayBuffer>[] = [];
  let held = 0;
  let bytes = 0;
  try {
    const reader = body?.getReader();
    for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
      chunks.push(read.value);
      held += read.value.length;
      bytes += read.value.length;
      progress(bytes);
      if (held < PIECE) continue;
      pieces.push(new Blob(chunks));
      chunks = [];
      held = 0;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, { code: "CUT_OFF", message: (error as Error).message });
  }
  return new Blob([...pieces, ...chunks], { type: LINES });
}

/** `progress`: 0 to 1. Rejects with `ApiError`, or as the signal says: what was stored before stays. */
export function importMessages(file: File, progress: (part: number) => void, signal: AbortSignal): Promise<Imported> {
  return upload({ path: "/offline_messages/import", body: file, contentType: LINES, progress, signal });
}
