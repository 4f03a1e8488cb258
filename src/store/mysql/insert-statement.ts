// Takes an INSERT or REPLACE statement apart: its table, column list, groups of values, and what follows them.

import { codeTokens, isMark, isWord, type Token } from "./sql-tokens.ts";

/** What stands between two parentheses. */
export interface Group {
  /** Where its `(` is in the statement, and what follows its `)`. */
  readonly start: number;
  readonly end: number;
  /** What is between, without blanks and comments, cut at its outer commas. */
  readonly items: readonly (readonly Token[])[];
}

/** An INSERT or REPLACE statement. */
export interface InsertStatement {
  /** As it is written, without blanks and comments: `t`, `` `db`.`t` ``. */
  readonly table: string;
  readonly columns: Group | undefined;
  /** The groups after VALUES: none where the rows come from SET or SELECT. */
  readonly rows: readonly Group[];
  /** What follows the last group, or the table and columns if there is none; without blanks and comments. */
  readonly tail: readonly Token[];
}

/**
 * Takes a statement apart; undefined if it is none of `INSERT|REPLACE [modifiers] [INTO] table [PARTITION (…)] [(…)] …`,
 * or its parentheses do not fit. After "INSERT Statement" of the MySQL 8.4 manual.
 */
export function readInsert(sql: string): InsertStatement | undefined {
  const tokens = codeTokens(sql);
  let at = 0;
  if (!isWord(tokens[at++], "insert", "replace")) return undefined;
  while (isWord(tokens[at], "low_priority", "delayed", "high_priority", "ignore")) at++;
  if (isWord(tokens[at], "into")) at++;
  const nameStart = at;
  if (!isName(tokens[at++])) return undefined;
  while (isMark(tokens[at], ".") && isName(tokens[at + 1])) at += 2;
  const table = textOf(tokens.slice(nameStart, at));

  const skipGroup = (): Group | undefined => {
    const [group, next] = groupAt(tokens, at) ?? [];
    at = next ?? at;
    return group;
  };
  if (isWord(tokens[at], "partition") && isMark(tokens[at + 1], "(")) {
    at++;
    if (!skipGroup()) return undefined;
  }
  const columns = skipGroup();
  const rows: Group[] = [];
  if (isWord(tokens[at], "values", "value")) {
    do {
      at++;
      const row = skipGroup();
      if (!row) return undefined;
      rows.push(row);
    } while (isMark(tokens[at], ","));
  }
  return { table, columns, rows, tail: tokens.slice(at) };
}

/** Whether a token can be a name: a word, or one in quotes. With ANSI_QUOTES these may be double. */
export function isName(token: Token | undefined): token is Token {
  return token?.kind === "word" || token?.kind === "name" || (token?.kind === "string" && token.text.startsWith('"'));
}

/** The tokens as they are written, without what is between them. */
export function textOf(tokens: readonly Token[]): string {
  return tokens.map(({ text }) => text).join("");
}

/** The group that begins at a token, and the index of the token after it. */
function groupAt(tokens: readonly Token[], first: number): [Group, number] | undefined {
  const open = tokens[first];
  if (!isMark(open, "(")) return undefined;
  const items: Token[][] = [];
  let depth = 0;
  let item: Token[] = [];
  for (let at = first + 1; at < tokens.length; at++) {
    const token = tokens[at] as Token;
    if (isMark(token, ")") && depth-- === 0) {
      if (items.length > 0 || item.length > 0) items.push(item);
      return [{ start: open.start, end: token.start + 1, items }, at + 1];
    }
    if (isMark(token, "(")) depth++;
    if (isMark(token, ",") && depth === 0) {
      items.push(item);
      item = [];
    } else item.push(token);
  }
  return undefined;
}
