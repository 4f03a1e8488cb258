// The typed errors of the broker. docs/errors.md explains each code.

import { CodedError } from "../mqtt/coded-error.ts";

/** A broker option that is outside its limits. */
export class BrokerOptionError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_OPTION_INVALID", message, options);
  }
}

/** A listener's address cannot be bound. */
export class ListenError extends CodedError {
  /** Its name, and where it should have listened. */
  readonly listener: string;
  readonly host: string;
  readonly port: number;

  constructor(message: string, { listener, host, port, cause }: ListenFailure) {
    super("BROKER_LISTEN_FAILED", message, { cause });
    this.listener = listener;
    this.host = host;
    this.port = port;
  }
}

export interface ListenFailure {
  readonly listener: string;
  readonly host: string;
  readonly port: number;
  readonly cause: unknown;
}

/** A call that comes too early or too late in the broker's life. */
export class BrokerStateError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_STATE", message, options);
  }
}

/** Too much is asked of the broker at a time. */
export class BrokerBusyError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_BUSY", message, options);
  }
}

/** The file with sessions, wills and retained messages cannot be used. */
export class BrokerDatabaseError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BROKER_DATABASE_FAILED", message, options);
  }
}
