// The errors that the HTTP API answers with: EMQX's codes, and a message that tells what to do. docs/errors.md explains the codes.

import { CodedError } from "../mqtt/coded-error.ts";

export type ApiErrorCode =
  | "BAD_REQUEST"
  | "AUTHORIZATION_HEADER_ERROR"
  | "BAD_API_KEY_OR_SECRET"
  | "API_KEY_NOT_ALLOW"
  | "BAD_USERNAME_OR_PWD"
  | "LOGIN_LOCKED"
  | "BAD_TOKEN"
  | "TOKEN_TIME_OUT"
  | "WRONG_TOKEN_OR_USERNAME"
  | "ERROR_PWD_NOT_MATCH"
  | "USER_NOT_FOUND"
  | "NOT_ALLOWED"
  | "UNAUTHORIZED_ROLE"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "ALREADY_INSTALLED"
  | "BAD_PLUGIN_INFO"
  | "BAD_FORM_DATA"
  | "BAD_CONFIG"
  | "BAD_POSITION"
  | "PARAM_ERROR"
  | "NOT_SUPPORTED"
  | "SERVICE_UNAVAILABLE"
  | "INTERNAL_ERROR";

export class ApiError extends CodedError {
  declare readonly code: ApiErrorCode;
  /** The status code of the answer. */
  readonly status: number;

  constructor(status: number, code: ApiErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.status = status;
  }
}
