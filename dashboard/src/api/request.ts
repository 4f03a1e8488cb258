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
  readonly signal?: AbortSignal | undefined;
}

/** Of a session that has ended; whoever signs in again goes on where they were. */
const ENDED = new Set(["BAD_TOKEN", "TOKEN_TIME_OUT"]);

/** The answer's JSON, or undefined where it has none. As `open`. */
export async function ask<T>(asked: Asked): Promise<T> {
  return (await bodyOf(await open(asked))) as T;
}

/** The answer, for downloads. Rejects with `ApiError`. Where the session has ended, it waits until there is another one. */
export async function open(asked: Asked): Promise<Response> {
  for (;;) {
    const response = await send(asked);
    if (response.ok) return response;
    const told = ((await bodyOf(response)) ?? {}) as ErrorBody;
    if (!hasEnded(response.status, told)) throw new ApiError(response.status, told);
    await session.again();
  }
}

/** Whether an answer says so of the session. */
export function hasEnded(status: number, { code = "" }: ErrorBody): boolean {
  return status === 401 && ENDED.has(code) && session.user !== undefined;
}

async function bodyOf(response: Response): Promise<unknown> {
  const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
  return isJson ? response.json() : undefined;
}

/** The answer whatever it says. Rejects with `ApiError` where there is none. */
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
