// The error of the HOCON parser: what is wrong, and where.

import { CodedError } from "../mqtt/coded-error.ts";

/** A place in a text, both counted from 1; the column in UTF-16 units. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** The text is not HOCON, or uses a part of HOCON that is not supported. */
export class HoconError extends CodedError {
  readonly position: TextPosition;

  constructor(message: string, position: TextPosition, options?: ErrorOptions) {
    super("CONFIG_SYNTAX", message, options);
    this.position = position;
  }
}
