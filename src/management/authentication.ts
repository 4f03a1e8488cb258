// Who asks, and whether they may: HTTP Basic with an API key, as EMQX has it.

import type { FastifyReply, FastifyRequest } from "fastify";
import { ApiError } from "./api-error.ts";
import type { ApiKeys, Role } from "./api-keys.ts";

const CHALLENGE = 'Basic Realm="emqx-dashboard"';
/** What a publisher may do. */
const PUBLISH = /^\/api\/v5\/publish(?:\/bulk)?(?:\?|$)/;

/** A hook before each request. Throws `ApiError` 401 and 403. */
export function authenticated(keys: ApiKeys) {
  return async ({ headers, method, url }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const credentials = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? "")?.[1];
    if (credentials === undefined) {
      reply.header("www-authenticate", CHALLENGE);
      throw new ApiError(401, "AUTHORIZATION_HEADER_ERROR", "Give an API key and its secret: curl -u key:secret …");
    }
    const [key = "", ...rest] = Buffer.from(credentials, "base64").toString("utf8").split(":");
    const role = keys.roleOf(key, rest.join(":"));
    if (role === undefined) throw new ApiError(401, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret");
    if (!mayDo(role, method, url)) {
      throw new ApiError(403, "UNAUTHORIZED_ROLE", `A key with the role ${role} may not do this: take another one.`);
    }
  };
}

function mayDo(role: Role, method: string, url: string): boolean {
  if (role === "administrator") return true;
  if (role === "viewer") return method === "GET" || method === "HEAD";
  return method === "POST" && PUBLISH.test(url);
}
