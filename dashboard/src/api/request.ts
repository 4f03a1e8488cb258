// Asks the broker's API; what it refuses becomes an error with its code and message.

import { session } from "./session.ts";

const API = "/api/v5";

export class ApiError extends Error {
  /** 0: the broker could not be reached. */
  readonly status: number;
  readonly code: string;
  /** What is wrong where, by the path with dots. */
  readonly problems: readonly (readonly [path: string, message: string])[];

  constructor(status: number, { code = "UNKNOWN", message = String(status), problems = [] }: ErrorBody) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.problems = problems.map(({ path, message }) => [path.join("."), message]);
  }
}

export interface ErrorBody {
  readonly code?: string;
  readonly message?: string;
  readonly problems?: readonly { readonly path: readonly string[]; readonly message: string }[];
}

export interface Asked {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Behind /api/v5. */
  readonly path: string;
  readonly json?: unknown;
  readonly form?: FormData;
  readonly signal?: AbortSignal;
}

/** Of a session that has ended; whoever signs in again goes on where they were. */
const ENDED = new Set(["BAD_TOKEN", "TOKEN_TIME_OUT"]);

/** The answer's JSON, or undefined where it has none. Rejects with `ApiError`. Where the session has ended, it waits until there is another one. */
export async function ask<T>(asked: Asked): Promise<T> {
  for (;;) {
    const response = await send(asked);
    const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
    const body: unknown = isJson ? await response.json() : undefined;
    if (response.ok) return body as T;
    const told = (body ?? {}) as ErrorBody;
    if (response.status !== 401 || !ENDED.has(told.code ?? "") || session.user === undefined) {
      throw new ApiError(response.status, told);
    }
    await session.again();
  }
}

/** The whole answer, for downloads. Rejects with `ApiError`. */
export async function send({ method = "GET", path, json, form, signal }: Asked): Promise<Response> {
  const headers = new Headers();
  if (session.token !== "") headers.set("authorization", `Bearer ${session.token}`);
  if (json !== undefined) headers.set("content-type", "application/json");
  try {
    const body = json === undefined ? form : JSON.stringify(json);
    return await fetch(API + path, { method, headers, body: body ?? null, signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { code: "UNREACHABLE", message: (error as Error).message });
  }
}
