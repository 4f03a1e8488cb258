// Command-line options: a table of each command's options, and how arguments are read against it.

import { parseArgs } from "node:util";
import { editDistance } from "../plugin/config-schema.ts";
import { UsageError } from "./cli-error.ts";

export interface OptionDescription {
  /** The name of its value in the help; absent: a switch. */
  readonly value?: string;
  /** A letter that stands for it behind a single dash. */
  readonly short?: string;
  readonly help: string;
}

export type OptionTable = Readonly<Record<string, OptionDescription>>;

/** The options given: texts for those with a value, true for switches. */
export type GivenOptions<Table extends OptionTable> = {
  readonly [Name in keyof Table]?: Table[Name] extends { readonly value: string } ? string : boolean;
};

/** Reads a command's arguments. Throws `UsageError` at the first that is wrong. */
export function parseOptions<const Table extends OptionTable>(
  command: string,
  table: Table,
  args: readonly string[],
): GivenOptions<Table> {
  return parseArguments(command, table, args, 0).given;
}

/** The same for a command that takes up to so many arguments besides. */
export function parseArguments<const Table extends OptionTable>(
  command: string,
  table: Table,
  args: readonly string[],
  most: number,
): { readonly given: GivenOptions<Table>; readonly values: readonly string[] } {
  const seeHelp = `(${command} --help lists all options)`;
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { value, short }]) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short && { short }) },
    ]),
  );
  // Not strict: the errors for users are our own.
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const given: Record<string, string | boolean> = {};
  const values: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional" && values.length < most) values.push(token.value);
    else if (token.kind === "positional") throw new UsageError(`unexpected argument ${token.value} ${seeHelp}`);
    if (token.kind !== "option") continue;
    const description = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
    if (description === undefined) {
      const near = nearest(token.name, table);
      const hint = near === undefined ? "" : `: did you mean --${near}?`;
      throw new UsageError(`unknown option ${token.rawName}${hint} ${seeHelp}`);
    }
    if (description.value === undefined && token.value !== undefined) {
      throw new UsageError(`${token.rawName} takes no value: leave out =${token.value}`);
    }
    if (description.value !== undefined && isMissing(token.value, token.inlineValue)) {
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${description.value}`);
    }
    given[token.name] = token.value ?? true;
  }
  return { given: given as GivenOptions<Table>, values };
}

/** An option, rather than a negative number, stands where the value should: it was forgotten. */
function isMissing(value: string | undefined, isInline: boolean | undefined): boolean {
  return value === undefined || value === "" || (!isInline && /^-(?!\d)/.test(value));
}

/** The value of an option that is one of a few; undefined: it is not given. Throws `UsageError` for another value. */
export function givenChoice<T extends string>(
  name: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((known) => known === value);
  if (choice === undefined) {
    throw new UsageError(`--${name} must be ${choices.join(" or ")}, not ${JSON.stringify(value)}`);
  }
  return choice;
}

/** The options as lines of a help text. */
export function describeOptions(table: OptionTable): string {
  const rows = Object.entries(table).map(([name, { value, short, help }]) => ({
    left: `--${name}${short === undefined ? "" : `, -${short}`}${value === undefined ? "" : ` ${value}`}`,
    help,
  }));
  const width = Math.max(...rows.map(({ left }) => left.length));
  return rows.map(({ left, help }) => `  ${left.padEnd(width)}  ${help}\n`).join("");
}

/** The option that was probably meant; undefined when none is like this name. */
function nearest(name: string, table: OptionTable): string | undefined {
  const known = Object.keys(table).map((option) => ({ option, distance: editDistance(name, option) }));
  const [near] = known.sort((a, b) => a.distance - b.distance);
  return near !== undefined && near.distance * 2 <= name.length ? near.option : undefined;
}
