// The root of every error of ours: it carries a code, which docs/errors.md explains.

/** An error with a stable code and a message that tells the reader what to do. See docs/errors.md. */
export abstract class CodedError extends Error {
  /** Upper-case words joined by `_`, stable across releases. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}
