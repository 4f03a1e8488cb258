// Who is signed in: kept for this tab, so that a reload changes nothing.

import { reactive } from "vue";

export type Role = "administrator" | "viewer";

export interface User {
  readonly username: string;
  readonly role: Role;
}

const KEY = "omp-session";

interface Kept extends User {
  readonly token: string;
}

const state = reactive({ kept: read(), isExpired: false });
/** Requests that go on when the user is back. */
let waiting: (() => void)[] = [];

export const session = {
  get token(): string {
    return state.kept?.token ?? "";
  },

  get user(): User | undefined {
    return state.kept;
  },

  get mayChange(): boolean {
    return state.kept?.role === "administrator";
  },

  /** The user has to sign in again; what is on the page stays. */
  get isExpired(): boolean {
    return state.isExpired;
  },

  begin(kept: Kept): void {
    state.kept = kept;
    state.isExpired = false;
    sessionStorage.setItem(KEY, JSON.stringify(kept));
    for (const goOn of waiting) goOn();
    waiting = [];
  },

  end(): void {
    state.kept = undefined;
    state.isExpired = false;
    waiting = [];
    sessionStorage.removeItem(KEY);
  },

  /** Settles when the user has signed in again. */
  again(): Promise<void> {
    state.isExpired = true;
    return new Promise((resolve) => waiting.push(resolve));
  },
};

function read(): Kept | undefined {
  try {
    const kept: Partial<Kept> = JSON.parse(sessionStorage.getItem(KEY) ?? "null") ?? {};
    return typeof kept.token === "string" && typeof kept.username === "string" ? (kept as Kept) : undefined;
  } catch {
    return undefined;
  }
}
