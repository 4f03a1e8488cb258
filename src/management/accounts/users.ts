// The people who sign in: who they are, and how they are added, changed and removed.

import { ApiError } from "../api-error.ts";
import type { AccountFile, StoredUser } from "./account-file.ts";
import { DEFAULT_ROLE, type UserRole } from "./roles.ts";
import { hashPassword, hashSecret, isPassword, passwordProblem, randomPassword } from "./secrets.ts";

/** EMQX's rule for names. */
export const USERNAME = "^[A-Za-z0-9]+[A-Za-z0-9_-]*$";
export const MAX_USERNAME = 100;
const MAX_USERS = 1000;
const FIRST_USER = "admin";

export interface NewUser {
  readonly username: string;
  readonly role?: UserRole;
  readonly description?: string;
}

export class Users {
  readonly #file: AccountFile;
  /** Called for a user whose sessions must end. */
  readonly #changed: (username: string) => void;

  constructor(file: AccountFile, changed: (username: string) => void) {
    this.#file = file;
    this.#changed = changed;
  }

  list(): readonly StoredUser[] {
    return this.#file.content.users;
  }

  find(username: string): StoredUser | undefined {
    return this.list().find((user) => user.username === username);
  }

  /** Makes the first user, where there is none: its name and password; undefined: there are users. Throws the system's error. */
  makeFirst(): { readonly username: string; readonly password: string } | undefined {
    if (this.list().length > 0) return undefined;
    return { username: FIRST_USER, password: this.addWithPassword({ username: FIRST_USER }) };
  }

  /**
   * The user, if that is its password, and still is when that is known. Takes as long where there is no such user. Rejects with
   * `ApiError` 503.
   */
  async withPassword(username: string, password: string): Promise<StoredUser | undefined> {
    const hash = this.find(username)?.password_hash;
    if (!(await isPassword(password, hash))) return undefined;
    const user = this.find(username);
    return user?.password_hash === hash ? user : undefined;
  }

  /** Rejects with `ApiError` 400: the name is taken, the password none. */
  async add({ password, ...user }: NewUser & { readonly password: string }): Promise<StoredUser> {
    this.#checkNew(user.username);
    return this.#add(user, await hashed(password));
  }

  /** Adds a user with a password that is made here, and returns it. Throws `ApiError` 400: the name is taken. */
  addWithPassword(user: NewUser): string {
    const password = randomPassword();
    this.#add(user, hashSecret(password));
    return password;
  }

  #add({ username, role = DEFAULT_ROLE, description = "" }: NewUser, password_hash: string): StoredUser {
    this.#checkNew(username);
    const user = { username, role, description, password_hash };
    this.#write([...this.list(), user]);
    return user;
  }

  /** Throws `ApiError`: 404; 400 where nobody would be left to administrate. */
  update(username: string, changes: { readonly role?: UserRole; readonly description?: string }): StoredUser {
    const user = this.get(username);
    if (changes.role !== undefined && changes.role !== "administrator") this.#checkOther(username);
    const next = { ...user, ...changes };
    this.#write(this.list().map((other) => (other === user ? next : other)));
    return next;
  }

  /** Throws `ApiError`: 404; 400 where nobody would be left to administrate. */
  remove(username: string): void {
    const user = this.get(username);
    this.#checkOther(username);
    this.#write(this.list().filter((other) => other !== user));
    this.#changed(username);
  }

  /**
   * Gives a user another password, unless it has got one since `user` was read. Ends its sessions. Rejects with `ApiError`: 404, 400 for a
   * password that is none.
   */
  async setPassword({ username, password_hash }: StoredUser, password: string): Promise<void> {
    const next = await hashed(password);
    if (this.get(username).password_hash !== password_hash) throw wrongPassword();
    this.#replaceHash(username, next);
  }

  /** Gives a user a password that is made here, and returns it. Ends its sessions. Throws `ApiError` 404. */
  resetPassword(username: string): string {
    const password = randomPassword();
    this.#replaceHash(username, hashSecret(password));
    return password;
  }

  #replaceHash(username: string, password_hash: string): void {
    const user = this.get(username);
    this.#write(this.list().map((other) => (other === user ? { ...user, password_hash } : other)));
    this.#changed(username);
  }

  /** Throws `ApiError` 404. */
  get(username: string): StoredUser {
    const user = this.find(username);
    if (user === undefined) throw new ApiError(404, "USER_NOT_FOUND", `There is no user ${JSON.stringify(username)}.`);
    return user;
  }

  #checkNew(username: string): void {
    if (this.find(username) !== undefined)
      throw new ApiError(400, "BAD_REQUEST", `The user ${username} is there already.`);
    if (this.list().length >= MAX_USERS)
      throw new ApiError(400, "BAD_REQUEST", `There are ${MAX_USERS} users already.`);
  }

  #checkOther(username: string): void {
    if (this.list().some((user) => user.username !== username && user.role === "administrator")) return;
    throw new ApiError(400, "NOT_ALLOWED", `${username} is the only administrator: make another one first.`);
  }

  #write(users: StoredUser[]): void {
    this.#file.write({ users });
  }
}

export function wrongPassword(): ApiError {
  return new ApiError(400, "ERROR_PWD_NOT_MATCH", "Old password not match");
}

async function hashed(password: string): Promise<string> {
  const problem = passwordProblem(password);
  if (problem !== undefined) throw new ApiError(400, "BAD_REQUEST", problem);
  return hashPassword(password);
}
