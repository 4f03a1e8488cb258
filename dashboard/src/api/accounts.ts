// Signing in and out, and the password.

import { ApiError, ask, type ErrorBody, send } from "./request.ts";
import { type Role, session } from "./session.ts";

/** Rejects with `ApiError`. */
export async function signIn(username: string, password: string): Promise<void> {
  const response = await send({ method: "POST", path: "/login", json: { username, password } });
  const body = (await response.json()) as { token: string; role: Role } & ErrorBody;
  if (!response.ok) throw new ApiError(response.status, body);
  session.begin({ token: body.token, username, role: body.role });
}

/** The token ends on the server if it can be reached, and here in any case. */
export async function signOut(): Promise<void> {
  const { user } = session;
  try {
    if (user !== undefined) await send({ method: "POST", path: "/logout", json: { username: user.username } });
  } finally {
    session.end();
  }
}

/** The session ends with it. Rejects with `ApiError`. */
export function changePassword(username: string, old_pwd: string, new_pwd: string): Promise<void> {
  return ask({ method: "POST", path: `/users/${encodeURIComponent(username)}/change_pwd`, json: { old_pwd, new_pwd } });
}
