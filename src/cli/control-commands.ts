// Runs the commands of `omp plugins`, `omp keys` and `omp admins`: each asks the broker that runs on a data directory.

import { UsageError } from "./cli-error.ts";
import { type DataPaths, DEFAULT_DATA_DIRECTORY, dataPaths } from "./data-directory.ts";
import { describeOptions, type GivenOptions, type OptionTable, parseOptions } from "./options.ts";

const OPTIONS = {
  "data-dir": { value: "DIR", help: `the broker's data directory (default ./${DEFAULT_DATA_DIRECTORY})` },
  help: { short: "h", help: "show this help" },
} as const;

export interface ControlCommand<Table extends OptionTable> {
  /** The name of what it is about; absent: it takes none. */
  readonly argument?: string;
  /** Resolves with what is printed. */
  readonly run: (paths: DataPaths, argument: string, given: GivenOptions<Table>) => Promise<string>;
}

export interface ControlCommands<Table extends OptionTable> {
  /** Such as `omp plugins`. */
  readonly name: string;
  /** What it is, and its commands, one on each line. */
  readonly about: string;
  readonly options: Table;
  readonly commands: Readonly<Record<string, ControlCommand<Table>>>;
}

/** Rejects with `CliError`. */
export async function runControlCommand<const Table extends OptionTable>(
  { name, about, commands, ...described }: ControlCommands<Table>,
  [command = "help", ...rest]: readonly string[],
): Promise<void> {
  const table = { ...OPTIONS, ...described.options };
  const help = `${about}\n${describeOptions(table)}
Exit codes: 0 done, 1 the broker does not run or refuses it, 2 wrong command.
`;
  if (command === "help" || command === "--help" || command === "-h") {
    process.stdout.write(help);
    return;
  }
  const known = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (known === undefined) throw new UsageError(`unknown command ${command} (${name} --help lists all)`);
  const [first] = rest;
  const argument = known.argument !== undefined && first !== undefined && !first.startsWith("-") ? first : undefined;
  const options = parseOptions(`${name} ${command}`, table, argument === undefined ? rest : rest.slice(1));
  const { "data-dir": directory = DEFAULT_DATA_DIRECTORY, help: isHelp } = options as GivenOptions<typeof OPTIONS>;
  if (isHelp) {
    process.stdout.write(help);
    return;
  }
  if (known.argument !== undefined && argument === undefined) {
    throw new UsageError(`${name} ${command} needs ${known.argument}: ${name} ${command} ${known.argument}`);
  }
  process.stdout.write(await known.run(dataPaths(directory), argument ?? "", options as GivenOptions<Table>));
}
