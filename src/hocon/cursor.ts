// A place in a text that the parser moves forward, and what lies between values: white space, line ends and comments.

import { HoconError, type TextPosition } from "./hocon-error.ts";

const BYTE_ORDER_MARK = "\uFEFF";
const WHITE_SPACE = /[^\S\n]*/y;
const COMMENT = /(?:#|\/\/)[^\n]*/y;

export class Cursor {
  readonly text: string;
  /** Offset of the next character, in UTF-16 units. */
  at: number;

  constructor(text: string) {
    this.text = text;
    this.at = text.startsWith(BYTE_ORDER_MARK) ? 1 : 0;
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** The next character; empty at the end. */
  get next(): string {
    return this.text.charAt(this.at);
  }

  startsWith(text: string): boolean {
    return this.text.startsWith(text, this.at);
  }

  /** Moves past the text if it comes next. */
  take(text: string): boolean {
    if (!this.startsWith(text)) return false;
    this.at += text.length;
    return true;
  }

  /** Moves past what a sticky expression matches; returns the match, which may be empty. */
  takeMatch(sticky: RegExp): string {
    sticky.lastIndex = this.at;
    const match = sticky.exec(this.text)?.[0] ?? "";
    this.at += match.length;
    return match;
  }

  /** Moves past white space, but not past the end of the line. */
  skipWhiteSpace(): void {
    this.takeMatch(WHITE_SPACE);
  }

  /** Moves past white space, comments and line ends; tells whether a line ended. */
  skipBlank(): boolean {
    let lineEnded = false;
    for (;;) {
      this.skipWhiteSpace();
      this.takeMatch(COMMENT);
      if (!this.take("\n")) return lineEnded;
      lineEnded = true;
    }
  }

  positionOf(offset: number): TextPosition {
    const before = this.text.slice(0, offset);
    const lineStart = before.lastIndexOf("\n") + 1;
    return { line: before.split("\n").length, column: offset - lineStart + 1 };
  }

  error(message: string, offset = this.at): HoconError {
    return new HoconError(message, this.positionOf(offset));
  }
}
