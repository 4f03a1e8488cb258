// The errors that the HTTP API answers with: EMQX's codes, and a message that tells what to do. docs/errors.md explains the codes.

import { CodedError } from "../mqtt/coded-error.ts";
import type { ConfigProblem } from "../plugin/config-schema.ts";

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
  | "CLIENTID_NOT_FOUND"
  | "TOPIC_NOT_FOUND"
  | "INVALID_PARAMETER"
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

interface ApiErrorOptions extends ErrorOptions {
  readonly problems?: readonly ConfigProblem[] | undefined;
}

export class ApiError extends CodedError {
  declare readonly code: ApiErrorCode;
  /** The status code of the answer. */
  readonly status: number;
  /** What is wrong in a configuration, and where. */
  readonly problems?: readonly ConfigProblem[];

  constructor(status: number, code: ApiErrorCode, message: string, { problems, ...options }: ApiErrorOptions = {}) {
    super(code, message, options);
    this.status = status;
    if (problems !== undefined) this.problems = problems;
  }

  /** What is answered. */
  get body(): object {
    const { code, message, problems } = this;
    return problems === undefined ? { code, message } : { code, message, problems };
  }
}
