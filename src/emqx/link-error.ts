// What goes wrong on the link between EMQX and the engine.

import { CodedError } from "../mqtt/coded-error.ts";

/** The other end sends what the protocol does not allow: the connection is closed. See docs/emqx-link.md. */
export class LinkProtocolError extends CodedError {
  constructor(problem: string) {
    super("LINK_PROTOCOL", `The other end does not keep to the protocol of the link: ${problem}.`);
  }
}

/** The other end is not let in: another version, a wrong secret, a connection too many. */
export class LinkRefusedError extends CodedError {
  /** As in the frame REFUSE. */
  readonly reason: number;

  constructor(reason: number, message: string) {
    super("LINK_REFUSED", message);
    this.reason = reason;
  }
}

/** The address of the link, its secret or its certificate cannot be used. */
export class LinkOptionError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("LINK_OPTION", message, options);
  }
}
