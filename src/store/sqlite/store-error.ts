// Makes the typed error of a problem that the worker thread had.

import type { Problem } from "../../sqlite/problem.ts";
import {
  type StoreError,
  StoreInvalidError,
  StoreLimitError,
  StoreTooLargeError,
  StoreUnavailableError,
} from "../errors.ts";

/** The typed error that callers get. */
export function storeError(problem: Problem): StoreError {
  switch (problem.kind) {
    case "limit":
      return new StoreLimitError(problem.message);
    case "too_large":
      return new StoreTooLargeError(problem.message);
    case "invalid":
      return new StoreInvalidError(problem.message);
    case "unavailable":
      return new StoreUnavailableError(problem.message);
  }
}
