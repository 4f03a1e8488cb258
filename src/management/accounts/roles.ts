// The roles of accounts, by EMQX's names, and what they may do.

/** `viewer` may read, `publisher` may publish and nothing else. */
export const KEY_ROLES = ["administrator", "viewer", "publisher"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

export const USER_ROLES = ["administrator", "viewer"] as const;
export type UserRole = (typeof USER_ROLES)[number];

export const DEFAULT_ROLE = "administrator";

/** What a publisher may do. */
const PUBLISH = /^\/api\/v5\/publish(?:\/bulk)?(?:\?|$)/;

export function mayDo(role: KeyRole, method: string, url: string): boolean {
  if (role === "administrator") return true;
  if (role === "viewer") return method === "GET" || method === "HEAD";
  return method === "POST" && PUBLISH.test(url);
}

export function isKeyRole(text: string): text is KeyRole {
  return (KEY_ROLES as readonly string[]).includes(text);
}
