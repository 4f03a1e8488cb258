// Signing in and out: POST /login and /logout, as EMQX has them.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Logger } from "../../mqtt/logger.ts";
import { RepeatedWarning } from "../../mqtt/repeated-warning.ts";
import { version } from "../../mqtt/version.ts";
import { ApiError } from "../api-error.ts";
import { errors, exactly, NO_SECURITY, NoContent, oneOf } from "../schemas.ts";
import type { StoredUser } from "./account-file.ts";
import type { Accounts } from "./accounts.ts";
import { checkPassword } from "./check-password.ts";
import { USER_ROLES } from "./roles.ts";
import { MAX_USERNAME } from "./users.ts";

const tags = ["Accounts"];
/** Nobody has to have an account for this, so that what is read is little. */
const LOGIN_BYTES = 4096;
/** Longer ones are of nobody, and need not be worked on. */
const MAX_PASSWORD = 256;

const login = {
  summary: "Sign in",
  tags,
  security: NO_SECURITY,
  body: exactly({
    username: Type.String({ maxLength: MAX_USERNAME }),
    password: Type.String({ maxLength: MAX_PASSWORD }),
  }),
  response: {
    200: Type.Object({
      token: Type.String({ description: "For the header Authorization: Bearer …" }),
      version: Type.String(),
      role: oneOf(USER_ROLES),
      license: Type.Object({ edition: Type.String() }),
    }),
    ...errors(400, 401, 503),
  },
};

const logout = {
  summary: "Sign out",
  tags,
  body: exactly({ username: Type.String({ maxLength: MAX_USERNAME }) }),
  response: { 204: NoContent, ...errors(400, 401) },
};

/** Nobody is asked for a key. */
export async function loginRoutes(
  app: FastifyInstance,
  { users, tokens, failedLogins }: Accounts,
  logger: Logger,
): Promise<void> {
  const failed = new RepeatedWarning(logger, "somebody could not sign in", () => Date.now());
  app
    .withTypeProvider<TypeBoxTypeProvider>()
    .post("/api/v5/login", { schema: login, bodyLimit: LOGIN_BYTES }, async ({ body: { username, password }, ip }) => {
      let user: StoredUser | undefined;
      try {
        user = await checkPassword({ users, failedLogins }, { username, password, ip });
      } finally {
        if (user === undefined) failed.warn({ username, remoteAddress: ip });
      }
      if (user === undefined) throw new ApiError(401, "BAD_USERNAME_OR_PWD", "Auth failed");
      logger.info({ username, remoteAddress: ip }, "a user signed in");
      return { token: tokens.issue(username), version: version(), role: user.role, license: { edition: "opensource" } };
    });
}

export async function logoutRoutes(app: FastifyInstance, { tokens }: Accounts): Promise<void> {
  const config = { forUsers: true, forAnyRole: true };
  app
    .withTypeProvider<TypeBoxTypeProvider>()
    .post("/api/v5/logout", { schema: logout, config }, async ({ body, asker }, reply) => {
      if (asker.kind !== "user" || asker.username !== body.username) {
        throw new ApiError(401, "WRONG_TOKEN_OR_USERNAME", "Ensure your token & username");
      }
      tokens.revoke(asker.token);
      return reply.code(204).send();
    });
}
