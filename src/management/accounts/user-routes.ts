// The users of the API: list, add, change, remove, and their passwords, as EMQX has them.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Logger } from "../../mqtt/logger.ts";
import { ApiError } from "../api-error.ts";
import { errors, exactly, NoContent, oneOf } from "../schemas.ts";
import type { StoredUser } from "./account-file.ts";
import type { Accounts } from "./accounts.ts";
import { checkPassword } from "./check-password.ts";
import { DEFAULT_ROLE, USER_ROLES } from "./roles.ts";
import { MAX_USERNAME, USERNAME, wrongPassword } from "./users.ts";

const PATH = "/api/v5/users";
const tags = ["Accounts"];
const config = { forUsers: true };

const MAX_DESCRIPTION = 1024;
const User = Type.Object({
  username: Type.String(),
  role: oneOf(USER_ROLES),
  description: Type.String(),
  backend: Type.String(),
});
const Username = Type.String({ maxLength: MAX_USERNAME, pattern: USERNAME });
const Password = Type.String({ maxLength: 256 });
const Description = Type.String({ maxLength: MAX_DESCRIPTION });
const params = Type.Object({ username: Type.String() });

const list = { summary: "All users", tags, response: { 200: Type.Array(User) } };
const add = {
  summary: "Add a user",
  tags,
  body: exactly({
    username: Username,
    password: Password,
    role: Type.Optional(oneOf(USER_ROLES, { default: DEFAULT_ROLE })),
    description: Type.Optional(Description),
  }),
  response: { 200: User, ...errors(400) },
};
const update = {
  summary: "Change a user",
  tags,
  params,
  body: exactly({ role: Type.Optional(oneOf(USER_ROLES)), description: Type.Optional(Description) }),
  response: { 200: User, ...errors(400, 404) },
};
const remove = { summary: "Remove a user", tags, params, response: { 204: NoContent, ...errors(400, 404) } };
const changePassword = {
  summary: "Change a user's password; who is signed in as this user has to sign in again",
  tags,
  params,
  body: exactly({ old_pwd: Password, new_pwd: Password }),
  response: { 204: NoContent, ...errors(400, 401, 403, 404, 503) },
};
const reset = {
  summary: "Give a user a password that is made at random",
  tags,
  params,
  response: { 200: Type.Object({ password: Type.String() }), ...errors(404) },
};
const addWithPassword = {
  summary: "Add a user, with a password that is made at random",
  tags,
  body: exactly({
    username: Username,
    role: Type.Optional(oneOf(USER_ROLES, { default: DEFAULT_ROLE })),
    description: Type.Optional(Description),
  }),
  response: { 200: Type.Object({ password: Type.String() }), ...errors(400) },
};

export async function userRoutes(
  app: FastifyInstance,
  { users, failedLogins }: Accounts,
  logger: Logger,
): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();

  api.get(PATH, { schema: list, config }, async () => users.list().map(shown));

  api.post(PATH, { schema: add, config }, async ({ body }) => {
    const user = await users.add(body);
    logger.info({ username: user.username, role: user.role }, "a user was added");
    return shown(user);
  });

  api.put(`${PATH}/:username`, { schema: update, config }, async ({ params, body }) => {
    const user = users.update(params.username, body);
    logger.info({ username: user.username, role: user.role }, "a user was changed");
    return shown(user);
  });

  api.delete(`${PATH}/:username`, { schema: remove, config }, async ({ params: { username }, asker }, reply) => {
    if (asker.kind === "user" && asker.username === username) {
      throw new ApiError(400, "NOT_ALLOWED", "Nobody removes themselves: let another administrator do it.");
    }
    users.remove(username);
    logger.info({ username }, "a user was removed");
    return reply.code(204).send();
  });

  api.post(
    `${PATH}/:username/change_pwd`,
    { schema: changePassword, config: { forUsers: true, forAnyRole: true } },
    async ({ params: { username }, body, asker, ip }, reply) => {
      if (asker.kind === "user" && asker.role !== "administrator" && asker.username !== username) {
        throw new ApiError(403, "UNAUTHORIZED_ROLE", `The role ${asker.role} changes its own password only.`);
      }
      users.get(username);
      const user = await checkPassword({ users, failedLogins }, { username, password: body.old_pwd, ip });
      if (user === undefined) throw wrongPassword();
      await users.setPassword(user, body.new_pwd);
      logger.info({ username }, "a user's password was changed");
      return reply.code(204).send();
    },
  );
}

/** For who owns the data directory: nobody has to think up a password. */
export async function ownerUserRoutes(
  app: FastifyInstance,
  { users, failedLogins }: Accounts,
  logger: Logger,
): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();

  api.get(PATH, { schema: list }, async () => users.list().map(shown));

  api.post(PATH, { schema: addWithPassword }, async ({ body }) => {
    const password = users.addWithPassword(body);
    logger.info({ username: body.username }, "a user was added");
    return { password };
  });

  api.post(`${PATH}/:username/reset_pwd`, { schema: reset }, async ({ params: { username } }) => {
    const password = users.resetPassword(username);
    failedLogins.unlock(username);
    logger.info({ username }, "a user's password was changed");
    return { password };
  });

  api.delete(`${PATH}/:username`, { schema: remove }, async ({ params: { username } }, reply) => {
    users.remove(username);
    logger.info({ username }, "a user was removed");
    return reply.code(204).send();
  });
}

function shown({ username, role, description }: StoredUser) {
  return { username, role, description, backend: "local" };
}
