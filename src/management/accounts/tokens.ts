// Bearer tokens of users who have signed in: each ends when it is not used for a while, when its user signs out or changes.

import { createHash } from "node:crypto";
import { ApiError } from "../api-error.ts";
import { randomSecret } from "./secrets.ts";

/** Of one user; the oldest makes room. */
const MAX_OF_USER = 100;
const MAX_TOKENS = 10_000;

interface Session {
  readonly username: string;
  /** In ms of the clock. */
  expiresAt: number;
}

export interface TokensParts {
  /** How long a token is good for without being used, in seconds. */
  readonly lifetime: number;
  /** In ms. */
  readonly now: () => number;
}

export class Tokens {
  readonly #lifetime: number;
  readonly #now: () => number;
  /** By the token's hash, the oldest first. */
  readonly #sessions = new Map<string, Session>();

  constructor({ lifetime, now }: TokensParts) {
    this.#lifetime = lifetime * 1000;
    this.#now = now;
  }

  get size(): number {
    return this.#sessions.size;
  }

  issue(username: string): string {
    this.#makeRoom(username);
    const token = randomSecret();
    this.#sessions.set(hash(token), { username, expiresAt: this.#now() + this.#lifetime });
    return token;
  }

  /** Whose it is; its time begins anew. Throws `ApiError` 401. */
  userOf(token: string): string {
    const key = hash(token);
    const session = this.#sessions.get(key);
    if (session === undefined) throw new ApiError(401, "BAD_TOKEN", "Get a token by POST /api/v5/login.");
    const now = this.#now();
    if (session.expiresAt <= now) {
      this.#sessions.delete(key);
      throw new ApiError(401, "TOKEN_TIME_OUT", "Token expired, get a new token by POST /api/v5/login.");
    }
    session.expiresAt = now + this.#lifetime;
    return session.username;
  }

  /** Whether there was one. */
  revoke(token: string): boolean {
    return this.#sessions.delete(hash(token));
  }

  revokeAll(username: string): void {
    for (const [key, session] of this.#sessions) {
      if (session.username === username) this.#sessions.delete(key);
    }
  }

  #makeRoom(username: string): void {
    const now = this.#now();
    const own: string[] = [];
    for (const [key, session] of this.#sessions) {
      if (session.expiresAt <= now) this.#sessions.delete(key);
      else if (session.username === username) own.push(key);
    }
    const oldest = own.length >= MAX_OF_USER ? own[0] : undefined;
    const [first] = this.#sessions.size >= MAX_TOKENS ? this.#sessions.keys() : [];
    for (const key of [oldest, first]) if (key !== undefined) this.#sessions.delete(key);
  }
}

function hash(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}
