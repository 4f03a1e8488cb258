// Who asks, and whether they may: HTTP Basic with an API key, or the bearer token of a user who has signed in, as EMQX has it.

import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "../../mqtt/logger.ts";
import { RepeatedWarning } from "../../mqtt/repeated-warning.ts";
import { ApiError } from "../api-error.ts";
import type { Accounts } from "./accounts.ts";
import type { Attempt } from "./failed-logins.ts";
import { type KeyRole, mayDo } from "./roles.ts";

/** Who asks. */
export type Asker =
  | { readonly kind: "key"; readonly role: KeyRole }
  | { readonly kind: "user"; readonly role: KeyRole; readonly username: string; readonly token: string };

declare module "fastify" {
  interface FastifyRequest {
    asker: Asker;
  }
  interface FastifyContextConfig {
    /** Accounts are the business of people, not of API keys. */
    readonly forUsers?: boolean;
    /** A user may do this whatever the role; the handler looks whose account it is about. */
    readonly forAnyRole?: boolean;
  }
}

const CHALLENGE = 'Basic Realm="emqx-dashboard"';

/** A hook before each request, which notes who asks. Throws `ApiError` 401 and 403. */
export function authenticated(accounts: Accounts, logger: Logger) {
  const refused = new RepeatedWarning(logger, "an API key was refused", () => Date.now());
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { method, url } = request;
    const { forUsers = false, forAnyRole = false } = request.routeOptions.config;
    const [, scheme = "", credentials = ""] =
      /^(Basic|Bearer) +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
    if (scheme === "") {
      reply.header("www-authenticate", CHALLENGE);
      const message = "Give an API key and its secret (curl -u key:secret …), or the token of POST /api/v5/login.";
      throw new ApiError(401, "AUTHORIZATION_HEADER_ERROR", message);
    }
    const isKey = scheme.toLowerCase() === "basic";
    const asker = isKey ? keyOf(accounts, credentials, request.ip, refused) : userOf(accounts, credentials);
    if (asker.kind === "key" && forUsers) {
      throw new ApiError(401, "API_KEY_NOT_ALLOW", "An API key may not do this: sign in by POST /api/v5/login.");
    }
    if (!forAnyRole && !mayDo(asker.role, method, url)) {
      throw new ApiError(403, "UNAUTHORIZED_ROLE", `The role ${asker.role} may not do this: take another account.`);
    }
    request.asker = asker;
  };
}

/** A secret that somebody thought up is guarded against guessing; one that was made at random needs no guard. */
function keyOf(
  { keys, failedLogins }: Accounts,
  credentials: string,
  address: string,
  refused: RepeatedWarning,
): Asker & { kind: "key" } {
  const [key = "", ...rest] = Buffer.from(credentials, "base64").toString("utf8").split(":");
  const found = keys.find(key);
  const attempt: Attempt = { address, kind: "key", name: key, isKnown: found !== undefined };
  const isGuarded = found?.isGuessable !== false;
  if (isGuarded) failedLogins.check(attempt);
  const role = keys.roleOf(found, rest.join(":"));
  if (role !== undefined) return { kind: "key", role };
  if (isGuarded) failedLogins.failed(attempt);
  refused.warn({ remoteAddress: address });
  throw new ApiError(401, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret");
}

function userOf({ users, tokens }: Accounts, token: string): Asker & { kind: "user" } {
  const username = tokens.userOf(token);
  const user = users.find(username);
  if (user === undefined) throw new ApiError(401, "BAD_TOKEN", "Get a token by POST /api/v5/login.");
  return { kind: "user", role: user.role, username, token };
}
