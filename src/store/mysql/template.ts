// Reads an SQL template of the user: placeholders become bound parameters, never text pasted into the statement.

import { PLACEHOLDER_RULES, type Placeholder, type TemplateName } from "./placeholders.ts";
import { isMark, NAME_CHARACTER, PLACEHOLDER, sqlTokens, type Token } from "./sql-tokens.ts";
import { TemplateError } from "./template-error.ts";

export type { Placeholder, TemplateName } from "./placeholders.ts";
export { TemplateError } from "./template-error.ts";

/** A template, ready to be prepared by the server. */
export interface Template {
  readonly name: TemplateName;
  /** One statement with `?` in the place of each placeholder, without `;` and without comments at its end. */
  readonly sql: string;
  /** What each `?` stands for, in their order. A placeholder that is used twice is here twice. */
  readonly parameters: readonly Placeholder[];
}

/** `\` and what it escapes, a placeholder (its name is the group), or a `${` that does not end. */
const STRING_PARTS = new RegExp(`\\\\[^]|${PLACEHOLDER.source}|\\$\\{`, "g");
/** Comments that the server executes. */
const EXECUTABLE = /^\/\*M?!/;

/**
 * Reads a template. `'${topic}'` is the same as `${topic}`; `'a/${topic}'` becomes `CONCAT('a/', ?)`, which is NULL if
 * the value is. `\${` in a string is no placeholder, and one in a comment is blanked. Throws TemplateError if the text is
 * empty, has more than one statement, an end missing, a `?` of its own, a comment that would be executed, a placeholder
 * that is unknown or in backticks, or lacks one that is required. Whether it is SQL is for the server to say.
 * The placeholders are those of EMQX's plugin (`emqx_offline_messages`) and two of ours.
 */
export function parseTemplate(name: TemplateName, text: string): Template {
  const writer = new TemplateWriter(name);
  for (const token of statementTokens(name, text)) writer.write(token);
  const { sql, parameters } = writer;
  const missing = PLACEHOLDER_RULES[name].required.filter((placeholder) => !parameters.includes(placeholder));
  if (missing.length > 0) {
    throw new TemplateError(name, `lacks ${list(missing)}: put it where the statement needs the value`);
  }
  return { name, sql, parameters };
}

/** The tokens of the one statement, from its first to its last that is no blank, comment or `;`. */
function statementTokens(name: TemplateName, text: string): readonly Token[] {
  const tokens = sqlTokens(text);
  const last = tokens.at(-1);
  if (last?.kind === "unclosed") throw new TemplateError(name, unclosed(last.text));
  const isFiller = (token: Token): boolean => token.kind === "blank" || isPlainComment(token);
  const end = tokens.findLastIndex((token) => !isFiller(token) && !isMark(token, ";")) + 1;
  if (end === 0)
    throw new TemplateError(name, "is empty: write an SQL statement, or remove the key to have the default");
  const start = tokens.findIndex(({ kind }) => kind !== "blank");
  const statement = tokens.slice(start, end);
  if (statement.some((token) => isMark(token, ";"))) {
    throw new TemplateError(
      name,
      "has more than one statement: keep one, and remove what stands before or after the `;`",
    );
  }
  return statement;
}

function isPlainComment({ kind, text }: Token): boolean {
  return kind === "comment" && !EXECUTABLE.test(text);
}

function unclosed(rest: string): string {
  const start = /^(?:\/\*|\$\{)/.exec(rest)?.[0] ?? rest[0];
  const end = { "/*": "*/", "${": "}" }[start as string] ?? start;
  const where = JSON.stringify(rest.length > 30 ? `${rest.slice(0, 30)}…` : rest);
  return `has a ${start} without its end, at ${where}: add the ${end}`;
}

/** Writes the statement, and notes the parameters. */
class TemplateWriter {
  readonly parameters: Placeholder[] = [];
  readonly #name: TemplateName;
  /** The statement in pieces: looking at the end of a text that grows would copy it each time. */
  readonly #pieces: string[] = [];

  constructor(name: TemplateName) {
    this.#name = name;
  }

  get sql(): string {
    return this.#pieces.join("");
  }

  write({ kind, text }: Token): void {
    if (kind === "placeholder") this.#parameter(text.slice(2, -1));
    else if (kind === "string") this.#string(text);
    else if (kind === "comment") this.#comment(text);
    else if (kind === "parameter") {
      throw this.#error("has a ? outside of quotes, which the server would take for a parameter: write a placeholder");
    } else if (kind === "name" && text.includes("${")) {
      throw this.#error(`has a placeholder in the name ${text}: names are fixed, so write the name without it`);
    } else this.#code(text);
  }

  /** The server takes `?` for a parameter only if no character of a name follows. */
  #code(text: string): void {
    if (this.#pieces.at(-1) === "?" && NAME_CHARACTER.test(text[0] ?? "")) this.#pieces.push(" ");
    this.#pieces.push(text);
  }

  #parameter(placeholder: string): void {
    const { required, optional } = PLACEHOLDER_RULES[this.#name];
    const known = [...required, ...optional];
    const found = known.find((other) => other === placeholder);
    if (found === undefined) {
      const choices = known.length === 0 ? "this statement has no placeholders" : `it may have ${list(known)}`;
      throw this.#error(`has the unknown placeholder ${write(placeholder)}: ${choices}`);
    }
    this.parameters.push(found);
    this.#code("?");
  }

  /** Placeholders in a comment are blanked, and with as many blanks nothing else can become the end of the comment. */
  #comment(text: string): void {
    if (EXECUTABLE.test(text)) {
      throw this.#error("has a comment that the server executes: write what stands between /*! and */ without these");
    }
    this.#code(text.replace(new RegExp(PLACEHOLDER, "g"), ({ length }) => " ".repeat(length)));
  }

  #string(text: string): void {
    const quote = text[0] ?? "";
    const content = text.slice(1, -1);
    const placeholders = [...content.matchAll(STRING_PARTS)].filter(([part]) => !part.startsWith("\\"));
    if (placeholders.length === 0) {
      this.#code(text);
      return;
    }
    const isAlone = placeholders[0]?.[0] === content;
    const follows = this.#pieces.at(-1)?.at(-1) ?? "";
    if (!isAlone) this.#code(NAME_CHARACTER.test(follows) ? " CONCAT(" : "CONCAT(");
    let at = 0;
    for (const { 0: part, 1: placeholder, index } of placeholders) {
      if (placeholder === undefined) throw this.#error(unclosed(content.slice(index)));
      if (index > at) this.#code(`${quote}${content.slice(at, index)}${quote}, `);
      this.#parameter(placeholder);
      at = index + part.length;
      if (at < content.length) this.#code(", ");
    }
    if (at < content.length) this.#code(`${quote}${content.slice(at)}${quote}`);
    if (!isAlone) this.#code(")");
  }

  #error(problem: string): TemplateError {
    return new TemplateError(this.#name, problem);
  }
}

function write(placeholder: string): string {
  return `\${${placeholder}}`;
}

function list(placeholders: readonly Placeholder[]): string {
  const written = placeholders.map(write);
  return written.length < 2 ? written.join() : `${written.slice(0, -1).join(", ")} and ${written.at(-1)}`;
}
