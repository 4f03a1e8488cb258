// API keys: list, create, change, delete, as EMQX has them. A secret is told once, when its key is created.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import type { Logger } from "../../mqtt/logger.ts";
import { ApiError } from "../api-error.ts";
import { errors, exactly, NoContent, oneOf } from "../schemas.ts";
import type { StoredApiKey } from "./account-file.ts";
import type { Accounts } from "./accounts.ts";
import { KEY_NAME, type KeyChanges, MAX_KEY_NAME } from "./api-keys.ts";
import { KEY_ROLES } from "./roles.ts";

const PATH = "/api/v5/api_key";
const tags = ["Accounts"];
const config = { forUsers: true };
const NEVER = "infinity";
/** RFC 3339: with an offset. */
const TIME = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/;

const Time = Type.String({ maxLength: 40, description: `RFC 3339, such as 2027-01-31T12:00:00Z, or ${NEVER}` });
const changes = {
  role: Type.Optional(oneOf(KEY_ROLES)),
  enable: Type.Optional(Type.Boolean()),
  desc: Type.Optional(Type.String({ maxLength: 1024 })),
  expired_at: Type.Optional(Time),
};
const Changes = exactly(changes);
const ApiKey = Type.Object({
  name: Type.String(),
  api_key: Type.String(),
  role: oneOf(KEY_ROLES),
  enable: Type.Boolean(),
  desc: Type.String(),
  created_at: Type.String(),
  expired_at: Type.String(),
  expired: Type.Boolean(),
});
const CreatedKey = Type.Object({ ...ApiKey.properties, api_secret: Type.String({ description: "Told this once" }) });
const params = Type.Object({ name: Type.String() });

const list = { summary: "All API keys that were created here", tags, response: { 200: Type.Array(ApiKey) } };
const create = {
  summary: "Create an API key",
  tags,
  body: exactly({ name: Type.String({ maxLength: MAX_KEY_NAME, pattern: KEY_NAME }), ...changes }),
  response: { 200: CreatedKey, ...errors(400) },
};
const get = { summary: "An API key", tags, params, response: { 200: ApiKey, ...errors(404) } };
const update = {
  summary: "Change an API key",
  tags,
  params,
  body: Changes,
  response: { 200: ApiKey, ...errors(400, 404) },
};
const remove = { summary: "Delete an API key", tags, params, response: { 204: NoContent, ...errors(404) } };

export async function apiKeyRoutes(app: FastifyInstance, { keys }: Accounts, logger: Logger): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const shown = (key: StoredApiKey): Static<typeof ApiKey> => {
    const { name, api_key, role, enable, desc, created_at, expired_at } = key;
    return {
      name,
      api_key,
      role,
      enable,
      desc,
      created_at: new Date(created_at).toISOString(),
      expired_at: expired_at === null ? NEVER : new Date(expired_at).toISOString(),
      expired: keys.isExpired(key),
    };
  };

  api.get(PATH, { schema: list, config }, async () => keys.list().map(shown));

  api.post(PATH, { schema: create, config }, async ({ body: { name, ...body } }) => {
    const { key, secret } = keys.create(name, read(body));
    logger.info({ name, role: key.role }, "an API key was created");
    return { ...shown(key), api_secret: secret };
  });

  api.get(`${PATH}/:name`, { schema: get, config }, async ({ params }) => shown(keys.get(params.name)));

  api.put(`${PATH}/:name`, { schema: update, config }, async ({ params: { name }, body }) => {
    const key = keys.update(name, read(body));
    logger.info({ name, role: key.role, enable: key.enable }, "an API key was changed");
    return shown(key);
  });

  api.delete(`${PATH}/:name`, { schema: remove, config }, async ({ params: { name } }, reply) => {
    keys.delete(name);
    logger.info({ name }, "an API key was deleted");
    return reply.code(204).send();
  });
}

/** Throws `ApiError` 400 for a time that is none. */
function read({ expired_at, ...changes }: Static<typeof Changes>): KeyChanges {
  if (expired_at === undefined) return changes;
  if (expired_at === NEVER) return { ...changes, expired_at: null };
  const [, year, month, day] = TIME.exec(expired_at) ?? [];
  const time = Date.parse(expired_at);
  // There is no 30th of February, of which Date.parse makes the 2nd of March.
  const isDay = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() === Number(day);
  if (Number.isFinite(time) && isDay) return { ...changes, expired_at: time };
  throw new ApiError(
    400,
    "BAD_REQUEST",
    `expired_at must be a time such as 2027-01-31T12:00:00Z, or ${NEVER}, not ${JSON.stringify(expired_at)}`,
  );
}
