// A payload in the ways in which people read it: as text, as JSON with line breaks, and as hex.

/** Payloads of more bytes are not fetched to be shown. */
export const MAX_READ = 1024 * 1024;
/** Bytes that are shown; of JSON characters. */
export const MAX_SHOWN = 64 * 1024;

const INDENT = "  ";
const BYTES_PER_LINE = 16;

/** Absent: the payload is none. */
export interface ShownAs {
  readonly text: string | undefined;
  readonly json: string | undefined;
  readonly hex: string;
  /** Only the beginning is shown. */
  readonly isCut: boolean;
}

export function shownAs(payload: Uint8Array): ShownAs {
  const whole = textOf(payload);
  const json = whole === undefined ? undefined : prettyJson(whole);
  return {
    text: whole?.slice(0, MAX_SHOWN),
    json: json?.slice(0, MAX_SHOWN),
    hex: hexOf(payload.subarray(0, MAX_SHOWN)),
    isCut: payload.length > MAX_SHOWN || (json?.length ?? 0) > MAX_SHOWN,
  };
}

/** Undefined: it is no UTF-8. */
function textOf(payload: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return undefined;
  }
}

/** An object or array of JSON with line breaks; undefined: it is none. All else stays as it was written, such as numbers that JavaScript would round. */
export function prettyJson(text: string): string | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? [];
  let depth = 0;
  let pretty = "";
  for (const [at, token] of tokens.entries()) {
    const isEmptyPair = /^[[{]$/.test(tokens[at - 1] ?? "");
    if (/^[\]}]$/.test(token)) {
      depth--;
      if (!isEmptyPair) pretty += lineBreak(depth);
    } else if (isEmptyPair || tokens[at - 1] === ",") pretty += lineBreak(depth);
    pretty += token === ":" ? ": " : token;
    if (/^[[{]$/.test(token)) depth++;
  }
  return pretty;
}

function lineBreak(depth: number): string {
  return `\n${INDENT.repeat(depth)}`;
}

/** Lines of offset, bytes, and the characters that ASCII has for them. */
function hexOf(payload: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < payload.length; at += BYTES_PER_LINE) {
    const bytes = [...payload.subarray(at, at + BYTES_PER_LINE)];
    const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = bytes.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(BYTES_PER_LINE * 3 - 1)}  ${ascii.join("")}`);
  }
  return lines.join("\n");
}
