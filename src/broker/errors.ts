// The typed errors of the broker. docs/errors.md explains each code.

import { CodedError } from "../mqtt/coded-error.ts";

/** A broker option that is outside its limits. */
export class BrokerOptionError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_OPTION_INVALID", message, options);
  }
}

/** The listener's address cannot be bound. */
export class ListenError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_LISTEN_FAILED", message, options);
  }
}

/** A call that comes too early or too late in the broker's life. */
export class BrokerStateError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_STATE", message, options);
  }
}
