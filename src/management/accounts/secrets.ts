// Passwords and secrets: made at random, kept as hashes, compared in constant time.

import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { ApiError } from "../api-error.ts";

/** scrypt's work for each password: 16 MiB and about a fifth of a second (OWASP's choice for this much memory). */
const COST = { N: 16_384, r: 8, p: 5 };
const HASH_BYTES = 32;
const SALT_BYTES = 16;
/** Passwords that are worked on at a time: the threads are needed for files too. */
const MAX_RUNNING = 2;
const MAX_WAITING = 32;

/** 256 random bits, as text. */
export function randomSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** A password that is made for somebody, who has to type it: 119 random bits, and it satisfies `passwordProblem`. */
export function randomPassword(): string {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  const groups = Array.from({ length: 6 }, () => Array.from(randomBytes(4), (byte) => letters[byte % 32]).join(""));
  return groups.join("-");
}

/** What is made at random cannot be guessed, however fast the hash is. */
export function hashSecret(secret: string): string {
  return `sha256:${sha256(secret).toString("base64url")}`;
}

/** Whether the secret is the one of a hash of `hashSecret`; takes as long for one that is not. */
export function isSecret(secret: string, hash: string): boolean {
  const [, known = ""] = hash.split(":");
  const expected = Buffer.from(known, "base64url");
  const given = sha256(secret);
  return expected.length === given.length && timingSafeEqual(given, expected);
}

/** For what people think up. Rejects with `ApiError` 503 where too many wait. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return `scrypt:${salt.toString("base64url")}:${(await derive(password, salt)).toString("base64url")}`;
}

const NOBODY = `scrypt:${"A".repeat(22)}:`;

/**
 * Whether a password is the one of this hash, of either kind. Takes as long for a hash of `hashSecret`, and for none (undefined).
 * Rejects with `ApiError` 503 where too many wait.
 */
export async function isPassword(password: string, hash: string | undefined): Promise<boolean> {
  const isSlow = hash?.startsWith("scrypt:") === true;
  const [, salt = "", known = ""] = (isSlow ? hash : NOBODY).split(":");
  const derived = await derive(password, Buffer.from(salt, "base64url"));
  if (hash === undefined) return false;
  if (!isSlow) return isSecret(password, hash);
  const expected = Buffer.from(known, "base64url");
  return expected.length === derived.length && timingSafeEqual(derived, expected);
}

let running = 0;
const waiting: (() => void)[] = [];

async function derive(password: string, salt: Buffer): Promise<Buffer> {
  if (running >= MAX_RUNNING) {
    if (waiting.length >= MAX_WAITING) {
      throw new ApiError(503, "SERVICE_UNAVAILABLE", "Too many people sign in at once: try again later.");
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running++;
  try {
    return await new Promise((resolve, reject) => {
      scrypt(password, salt, HASH_BYTES, { ...COST, maxmem: 64 * 1024 * 1024 }, (error, key) =>
        error === null ? resolve(key) : reject(error),
      );
    });
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

/** EMQX's rule: why a password is none that somebody may choose; undefined: it is. */
export function passwordProblem(password: string): string | undefined {
  if (password.length < 8 || password.length > 64) return "A password has 8 to 64 characters.";
  if (!/^[\x21-\x7e]*$/.test(password)) return "A password has letters, digits and special characters of ASCII only.";
  const groups = [/[A-Za-z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((group) => group.test(password)).length;
  return groups >= 2 ? undefined : "A password has at least two of letters, digits and special characters.";
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
