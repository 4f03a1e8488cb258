// Uploads, and tells how far it is: fetch cannot.

import { ApiError, type ErrorBody, hasEnded } from "./request.ts";
import { session } from "./session.ts";

export interface Upload {
  /** Behind /api/v5. */
  readonly path: string;
  readonly body: FormData | Blob;
  /** Absent: as the body says. */
  readonly contentType?: string;
  /** 0 to 1. */
  readonly progress: (part: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The answer's JSON. Rejects with `ApiError`, or with the signal's reason. Where the session has ended, it waits until there is another one. */
export async function upload<T>(asked: Upload): Promise<T> {
  for (;;) {
    asked.signal?.throwIfAborted();
    const { status, response } = await sent(asked);
    if (status < 400) return response as T;
    const told = (response ?? {}) as ErrorBody;
    if (!hasEnded(status, told)) throw new ApiError(status, told);
    await session.again();
  }
}

function sent({ path, body, contentType, progress, signal }: Upload): Promise<XMLHttpRequest> {
  const request = new XMLHttpRequest();
  request.open("POST", `/api/v5${path}`);
  request.setRequestHeader("authorization", `Bearer ${session.token}`);
  if (contentType !== undefined) request.setRequestHeader("content-type", contentType);
  request.responseType = "json";
  return new Promise((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) => progress(total === 0 ? 0 : loaded / total);
    request.onerror = () => reject(new ApiError(0, { code: "UNREACHABLE" }));
    request.onabort = () => reject(signal?.reason);
    request.onload = () => resolve(request);
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}
