// The typed errors of every store. docs/errors.md explains each code.

import { CodedError } from "../mqtt/coded-error.ts";

/** Root of the store's errors: `temporary` ones may succeed when tried again. */
export abstract class StoreError extends CodedError {
  abstract readonly temporary: boolean;
}

/** The database cannot be reached or cannot write now. */
export class StoreUnavailableError extends StoreError {
  readonly temporary = true;
  constructor(message: string, options?: ErrorOptions) {
    super("STORE_UNAVAILABLE", message, options);
  }
}

/** A limit (`max_messages`, `max_bytes`, `max_messages_per_topic`) is reached and `overflow` is `reject`. */
export class StoreLimitError extends StoreError {
  readonly temporary = true;
  constructor(message: string, options?: ErrorOptions) {
    super("STORE_LIMIT_REACHED", message, options);
  }
}

/** The payload, client id or properties have no room in the store, now or later. */
export class StoreTooLargeError extends StoreError {
  readonly temporary = false;
  constructor(message: string, options?: ErrorOptions) {
    super("STORE_TOO_LARGE", message, options);
  }
}

/** A message cannot be found by its id alone. */
export class StoreTopicNeededError extends StoreError {
  readonly temporary = false;
  constructor(message: string, options?: ErrorOptions) {
    super("STORE_TOPIC_NEEDED", message, options);
  }
}

/** The topic cannot be stored (too long for the store, or its key is taken). */
export class StoreInvalidError extends StoreError {
  readonly temporary = false;
  constructor(message: string, options?: ErrorOptions) {
    super("STORE_INVALID", message, options);
  }
}
