// The errors that end the `omp` command: lines for the user, and the exit code.

import { CodedError } from "../mqtt/coded-error.ts";

/** Ends the command: each line is written to standard error behind `omp: `, without a stack trace. */
export abstract class CliError extends CodedError {
  abstract readonly exitCode: number;
  readonly lines: readonly string[];

  constructor(code: string, lines: readonly string[], options?: ErrorOptions) {
    super(code, lines.join("\n"), options);
    this.lines = lines;
  }
}

/** A wrong command or option. */
export class UsageError extends CliError {
  readonly exitCode = 2;
  constructor(message: string, options?: ErrorOptions) {
    super("CLI_USAGE", [message], options);
  }
}

/** A configuration file that cannot be used, one line for each problem. */
export class ConfigFileError extends CliError {
  readonly exitCode = 2;
  constructor(lines: readonly string[], options?: ErrorOptions) {
    super("CLI_CONFIG", lines, options);
  }
}

/** The machine does not allow what was asked for: a port in use, a directory that cannot be made. */
export class StartError extends CliError {
  readonly exitCode = 1;
  constructor(message: string, options?: ErrorOptions) {
    super("CLI_START", [message], options);
  }
}
