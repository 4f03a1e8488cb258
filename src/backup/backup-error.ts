// The typed errors of backups. docs/errors.md explains each code.

import { CodedError } from "../mqtt/coded-error.ts";

/** The machine does not allow it: a disk that is full, a file that cannot be read, a database that is locked. */
export class BackupError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BACKUP_FAILED", message, options);
  }
}

/** A file that is no backup, is damaged, or comes from a newer release. */
export class BackupInvalidError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("BACKUP_INVALID", message, options);
  }
}
