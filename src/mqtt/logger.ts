// What every part needs of a log, so that none depends on the library behind it.

/** Writes one entry: fields first, then the sentence. pino's loggers fit. */
export type LogMethod = (fields: Record<string, unknown>, message: string) => void;

export interface Logger {
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
}
