// Speaks to the broker that runs on a data directory, over its control socket.

import { type IncomingMessage, request } from "node:http";
import { systemCause } from "../files/system-cause.ts";
import { StartError } from "./cli-error.ts";
import type { DataPaths } from "./data-directory.ts";

/** How long an answer may take, in ms. */
const TIMEOUT = 90_000;
/** Bytes of an answer. */
const MAX_ANSWER = 16 * 1024 * 1024;

export interface ControlRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly contentType?: string;
  readonly body?: Uint8Array;
}

/** The answer's JSON; undefined: it has none. Rejects with `StartError` where no broker runs, and with the message of its refusal. */
export async function askBroker(paths: DataPaths, asked: ControlRequest): Promise<unknown> {
  const { status, text } = await send(paths, asked).catch((error: unknown) => {
    throw new StartError(unreachable(paths, error as NodeJS.ErrnoException), { cause: error });
  });
  const answer = text === "" ? undefined : JSON.parse(text);
  if (status < 400) return answer;
  throw new StartError((answer as { message?: string } | undefined)?.message ?? `the broker answers ${status}`);
}

/** As `askBroker`, with a JSON body; fields that are undefined are left out. */
export function askJson(
  paths: DataPaths,
  { json, ...asked }: Pick<ControlRequest, "method" | "path"> & { readonly json: unknown },
): Promise<unknown> {
  return askBroker(paths, { ...asked, contentType: "application/json", body: Buffer.from(JSON.stringify(json)) });
}

function send(
  { controlSocket }: DataPaths,
  { method, path, contentType, body }: ControlRequest,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(contentType === undefined ? undefined : { "content-type": contentType }),
      ...(body === undefined ? undefined : { "content-length": body.length }),
    };
    const asked = request({ socketPath: controlSocket, method, path, headers, timeout: TIMEOUT });
    asked.on("timeout", () => asked.destroy(new Error(`it has not answered within ${TIMEOUT / 1000} s`)));
    asked.on("error", reject);
    asked.on("response", (response) => {
      textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    asked.end(body);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER) throw new Error(`its answer has more than ${MAX_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function unreachable({ directory, controlSocket }: DataPaths, error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT" || error.code === "ECONNREFUSED") {
    return `no broker runs on ${directory}: start it, or name its data directory with --data-dir`;
  }
  return `the broker cannot be asked at ${controlSocket}: ${systemCause(error)}`;
}
