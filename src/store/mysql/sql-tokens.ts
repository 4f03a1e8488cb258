// Cuts SQL into tokens, as MySQL and MariaDB do it with their default sql_mode: what is a string, a comment, a name.

/**
 * - `blank`: white space.
 * - `comment`: `-- …`, `# …` (without the line's end) or `/* … *\/`.
 * - `string`: in single or double quotes. With ANSI_QUOTES in the server's sql_mode a double-quoted one is a name.
 * - `name`: in backticks.
 * - `word`: a keyword, an unquoted name or a number.
 * - `placeholder`: `${…}` outside of all of these.
 * - `parameter`: `?` outside of all of these.
 * - `mark`: any other character.
 * - `unclosed`: a string, name, comment or `${` without its end, and all that follows.
 */
export type TokenKind =
  | "blank"
  | "comment"
  | "string"
  | "name"
  | "word"
  | "placeholder"
  | "parameter"
  | "mark"
  | "unclosed";

/** A piece of an SQL text. */
export interface Token {
  readonly kind: TokenKind;
  /** As it is written, with quotes. */
  readonly text: string;
  /** Where it begins in the whole text. */
  readonly start: number;
}

/** `${…}`, with the name as its group. A name is taken to end at a quote or line end, where the `}` was forgotten. */
export const PLACEHOLDER = /\$\{([^${}'"`\n]*)\}/;

/** A character that MySQL takes for a part of a name. */
export const NAME_CHARACTER = /[0-9A-Za-z_$\u0080-\uffff]/;

const PLACEHOLDER_HERE = new RegExp(PLACEHOLDER.source, "y");
const BLANK_HERE = /[ \t\n\v\f\r]+/y;
const WORD_HERE = /(?:[0-9A-Za-z_\u0080-\uffff]|\$(?!\{))+/y;
/** `--` begins a comment only before white space, a control character or the end: `5--1` is 6. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the server looks for them
const LINE_COMMENT_HERE = /(?:#|--(?=[\u0000-\u0020\u007f]|$))[^\n]*/y;

/**
 * The tokens of an SQL text. Put together again, their texts are the text. Throws nothing: what has no end is one last
 * token of kind `unclosed`. A backslash in a string escapes the next character, so the server must not be in the mode
 * NO_BACKSLASH_ESCAPES where a string has one. After "Comments" and "String Literals" of the MySQL 8.4 manual.
 */
export function sqlTokens(text: string): Token[] {
  const tokens: Token[] = [];
  for (let start = 0; start < text.length; ) {
    const [kind, end] = tokenAt(text, start);
    tokens.push({ kind, text: text.slice(start, end), start });
    start = end;
  }
  return tokens;
}

/** The tokens that mean something to the server: those that are neither blanks nor comments. */
export function codeTokens(text: string): Token[] {
  return sqlTokens(text).filter(({ kind }) => kind !== "blank" && kind !== "comment");
}

/** Whether a token is the keyword, in any case. */
export function isWord(token: Token | undefined, ...keywords: readonly string[]): token is Token {
  return token?.kind === "word" && keywords.includes(token.text.toLowerCase());
}

/** Whether a token is this character. */
export function isMark(token: Token | undefined, mark: string): token is Token {
  return token?.kind === "mark" && token.text === mark;
}

/** The kind of the token that begins here, and where it ends. */
function tokenAt(text: string, start: number): [TokenKind, number] {
  const first = text[start];
  if (first === "'" || first === '"') return closed("string", text, quotedEnd(text, start, { escapes: true }));
  if (first === "`") return closed("name", text, quotedEnd(text, start, { escapes: false }));
  if (first === "?") return ["parameter", start + 1];
  if (text.startsWith("/*", start)) {
    const end = text.indexOf("*/", start + 2);
    return closed("comment", text, end < 0 ? undefined : end + 2);
  }
  if (text.startsWith("${", start)) return closed("placeholder", text, matchEnd(PLACEHOLDER_HERE, text, start));
  for (const [kind, pattern] of PATTERNS) {
    const end = matchEnd(pattern, text, start);
    if (end !== undefined) return [kind, end];
  }
  return ["mark", start + 1];
}

const PATTERNS: readonly (readonly [TokenKind, RegExp])[] = [
  ["blank", BLANK_HERE],
  ["word", WORD_HERE],
  ["comment", LINE_COMMENT_HERE],
];

function closed(kind: TokenKind, text: string, end: number | undefined): [TokenKind, number] {
  return end === undefined ? ["unclosed", text.length] : [kind, end];
}

function matchEnd(pattern: RegExp, text: string, start: number): number | undefined {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/** Where a quoted text ends: at its quote, unless that is doubled. */
function quotedEnd(text: string, start: number, { escapes }: { escapes: boolean }): number | undefined {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at++) {
    if (escapes && text[at] === "\\") at++;
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  return undefined;
}
