// Parses the subset of HOCON that configuration files use. docs/decisions/0003-hocon.md says what is left out and why.

import { Cursor } from "./cursor.ts";
import { HoconDocument, type HoconNode, type HoconObject, setField } from "./document.ts";
import { parseQuotedString } from "./strings.ts";

/** The largest configuration file, in bytes: who reads one or writes one keeps to it. */
export const MAX_CONFIG_BYTES = 1024 * 1024;
/** How deep objects and arrays may be nested. */
const MAX_DEPTH = 64;

const UNQUOTED_KEY = /[^\s$"{}[\]:=,+#`^?!*&\\./]+/y;
/** Up to what ends a value: a comma, a bracket, a comment or the end of the line. */
const UNQUOTED_VALUE = /(?:[^,}\]#\n/]|\/(?!\/))*/y;
const NOT_IN_UNQUOTED = /[$"{[:=+`^?!*&\\]/;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$/;
const QUOTE_HINT = "put the text in double quotes";
const NO_SUBSTITUTION = `substitutions (\${…}) are not supported: write the value itself`;

/** Reads a configuration file's text. Throws `HoconError` at the first thing that is wrong. */
export function parseHocon(text: string): HoconDocument {
  const cursor = new Cursor(text);
  const root: HoconObject = { kind: "object", offset: 0, fields: new Map() };
  cursor.skipBlank();
  if (cursor.next === "[") throw cursor.error("a configuration file holds keys with values, not an array");
  if (cursor.next === "{") {
    parseBraces(cursor, root, 1);
    cursor.skipBlank();
    if (!cursor.isAtEnd) throw cursor.error(`nothing may follow the closing }, found ${describeNext(cursor)}`);
  } else {
    parseFields(cursor, root, 0);
  }
  return new HoconDocument(root, (offset) => cursor.positionOf(offset));
}

/** Fields between `{` and `}`. */
function parseBraces(cursor: Cursor, target: HoconObject, depth: number): void {
  const start = cursor.at;
  cursor.take("{");
  parseFields(cursor, target, depth);
  if (!cursor.take("}")) throw cursor.error("this { is never closed: put a } where the object ends", start);
}

/** Fields up to a `}` or the end of the text. */
function parseFields(cursor: Cursor, target: HoconObject, depth: number): void {
  cursor.skipBlank();
  while (!cursor.isAtEnd) {
    if (cursor.next === "}") {
      if (depth === 0) throw cursor.error("this } closes nothing: remove it, or add the { that it belongs to");
      return;
    }
    parseField(cursor, target, depth);
    if (!skipSeparator(cursor) && !cursor.isAtEnd && cursor.next !== "}") {
      throw cursor.error(`expected a new line or a comma before the next key, found ${describeNext(cursor)}`);
    }
  }
}

/** Moves past line ends and at most one comma; tells whether any was there. */
function skipSeparator(cursor: Cursor): boolean {
  const lineEnded = cursor.skipBlank();
  const comma = cursor.take(",");
  cursor.skipBlank();
  return lineEnded || comma;
}

function parseField(cursor: Cursor, target: HoconObject, depth: number): void {
  const start = cursor.at;
  const isUnquoted = cursor.next !== '"';
  const path = parseKeyPath(cursor);
  const key = cursor.text.slice(start, cursor.at);
  cursor.skipWhiteSpace();
  if (isUnquoted && path[0] === "include" && /["a-z]/.test(cursor.next)) {
    throw cursor.error("include is not supported: copy the content of the other file here", start);
  }
  if (cursor.startsWith("+=")) throw cursor.error("+= is not supported: write the whole array after =");
  if (cursor.next !== "{") {
    if (!cursor.take("=") && !cursor.take(":")) {
      throw cursor.error(`expected = or { after the key ${key}, found ${describeNext(cursor)}`);
    }
    const lineEnded = cursor.skipBlank();
    // Only what cannot be the next key may stand on the next line.
    if (cursor.isAtEnd || (lineEnded && !/["{[]/.test(cursor.next))) {
      throw cursor.error(`the key ${key} has no value: write one after the =`, start);
    }
  }
  setField(target, path, start, parseValue(cursor, depth));
}

/** Keys joined by dots, each with or without quotes. */
function parseKeyPath(cursor: Cursor): string[] {
  const path: string[] = [];
  do {
    if (cursor.next === '"') {
      path.push(parseQuotedString(cursor));
      continue;
    }
    const key = cursor.takeMatch(UNQUOTED_KEY);
    if (key === "") {
      if (cursor.startsWith("$")) throw cursor.error(NO_SUBSTITUTION);
      const isNoKey = cursor.isAtEnd || /[=:.,{}[\]\s]/.test(cursor.next);
      const hint = isNoKey ? "" : ": put a key that contains it in double quotes";
      throw cursor.error(`expected a key, found ${describeNext(cursor)}${hint}`);
    }
    path.push(key);
  } while (cursor.take("."));
  return path;
}

function parseValue(cursor: Cursor, depth: number): HoconNode {
  const offset = cursor.at;
  if (depth >= MAX_DEPTH) throw cursor.error(`objects and arrays are nested more than ${MAX_DEPTH} deep`);
  const node = parseSingleValue(cursor, offset, depth);
  const isQuoted = cursor.text[offset] === '"';
  cursor.skipWhiteSpace();
  const isOver = cursor.isAtEnd || /[\n,}\]#]/.test(cursor.next) || cursor.startsWith("//");
  if (!isOver) {
    if (cursor.startsWith("${")) throw cursor.error(NO_SUBSTITUTION);
    const hint = isQuoted
      ? "put the whole text in one pair of double quotes"
      : "separate values by a comma or a new line";
    throw cursor.error(`expected the end of the value, found ${describeNext(cursor)}: ${hint}`);
  }
  return node;
}

function parseSingleValue(cursor: Cursor, offset: number, depth: number): HoconNode {
  if (cursor.next === "{") {
    const object: HoconObject = { kind: "object", offset, fields: new Map() };
    parseBraces(cursor, object, depth + 1);
    return object;
  }
  if (cursor.next === "[") return { kind: "array", offset, items: parseItems(cursor, depth + 1) };
  if (cursor.next === '"') return { kind: "scalar", offset, value: parseQuotedString(cursor) };
  return { kind: "scalar", offset, value: parseUnquoted(cursor) };
}

function parseItems(cursor: Cursor, depth: number): HoconNode[] {
  const start = cursor.at;
  const items: HoconNode[] = [];
  cursor.take("[");
  cursor.skipBlank();
  while (!cursor.take("]")) {
    if (cursor.isAtEnd) throw cursor.error("this [ is never closed: put a ] where the array ends", start);
    items.push(parseValue(cursor, depth));
    if (!skipSeparator(cursor) && !cursor.isAtEnd && cursor.next !== "]") {
      throw cursor.error(`expected a comma or ] after the array's item, found ${describeNext(cursor)}`);
    }
  }
  return items;
}

/** A number, `true`, `false`, `null`, or text without quotes. */
function parseUnquoted(cursor: Cursor): string | number | boolean | null {
  const start = cursor.at;
  const text = cursor.takeMatch(UNQUOTED_VALUE).trimEnd();
  if (text === "") throw cursor.error(`expected a value, found ${describeNext(cursor)}`, start);
  if (NUMBER.test(text)) return Number(text);
  const forbidden = text.search(NOT_IN_UNQUOTED);
  if (forbidden >= 0) {
    const at = start + forbidden;
    if (cursor.text.startsWith("${", at)) throw cursor.error(NO_SUBSTITUTION, at);
    throw cursor.error(`the character ${text[forbidden]} needs quotes: ${QUOTE_HINT}`, at);
  }
  if (text.startsWith("'")) throw cursor.error(`a ' does not quote in HOCON: ${QUOTE_HINT}`, start);
  // `t/#` would silently become `t/` with a comment behind it.
  if (cursor.next === "#" && text.endsWith("/")) throw cursor.error(`# begins a comment: ${QUOTE_HINT}`);
  if (text === "true") return true;
  if (text === "false") return false;
  if (text === "null") return null;
  return text;
}

function describeNext(cursor: Cursor): string {
  if (cursor.isAtEnd) return "the end of the file";
  if (cursor.next === "\n" || cursor.startsWith("\r\n")) return "the end of the line";
  return `“${String.fromCodePoint(cursor.text.codePointAt(cursor.at) ?? 0)}”`;
}
