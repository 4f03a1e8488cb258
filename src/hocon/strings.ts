// Quoted strings of HOCON: "…" with escapes as in JSON, and """…""" as it stands.

import type { Cursor } from "./cursor.ts";

const TRIPLE_QUOTE = '"""';
const PLAIN_CHARACTERS = /[^"\\\n]*/y;
const FOUR_HEX_DIGITS = /[0-9A-Fa-f]{4}/y;
const CLOSING_QUOTES = /"{3,}/g;

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** Reads a string that begins with `"`. */
export function parseQuotedString(cursor: Cursor): string {
  return cursor.startsWith(TRIPLE_QUOTE) ? parseTripleQuoted(cursor) : parseSingleQuoted(cursor);
}

function parseSingleQuoted(cursor: Cursor): string {
  const start = cursor.at;
  cursor.take('"');
  let text = "";
  for (;;) {
    text += cursor.takeMatch(PLAIN_CHARACTERS);
    if (cursor.take('"')) return text;
    if (!cursor.take("\\"))
      throw cursor.error('this text is never closed: put a " at its end, on the same line', start);
    text += parseEscape(cursor);
  }
}

function parseEscape(cursor: Cursor): string {
  const start = cursor.at - 1;
  if (cursor.take("u")) {
    const digits = cursor.takeMatch(FOUR_HEX_DIGITS);
    if (digits === "") throw cursor.error("\\u needs four hexadecimal digits", start);
    return String.fromCharCode(Number.parseInt(digits, 16));
  }
  const escaped = ESCAPES[cursor.next];
  if (escaped === undefined) {
    throw cursor.error(`\\${cursor.next} is no escape: write \\\\ for a backslash`, start);
  }
  cursor.at += 1;
  return escaped;
}

function parseTripleQuoted(cursor: Cursor): string {
  const start = cursor.at;
  cursor.take(TRIPLE_QUOTE);
  CLOSING_QUOTES.lastIndex = cursor.at;
  const closing = CLOSING_QUOTES.exec(cursor.text);
  if (closing === null) throw cursor.error('this text is never closed: put """ at its end', start);
  // The last three of a row of quotes close the string; those before belong to it.
  const end = closing.index + closing[0].length;
  const text = cursor.text.slice(cursor.at, end - TRIPLE_QUOTE.length);
  cursor.at = end;
  return /^~\r?\n/.test(text) ? unindent(text) : text;
}

/** EMQX's own form of a text of several lines: `~` after the opening quotes, and the indentation is no part of it. */
function unindent(text: string): string {
  const [, ...lines] = text.replace(/~$/, "").split("\n");
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.search(/[^ ]/));
  const indent = Math.min(...indents, text.length);
  return lines.map((line) => (line.trim() === "" ? "" : line.slice(indent))).join("\n");
}
