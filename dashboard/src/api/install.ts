// Uploads a package, and tells how far it is: fetch cannot.

import { ApiError, type ErrorBody } from "./request.ts";
import { session } from "./session.ts";

/** `progress`: 0 to 1. Rejects with `ApiError`. */
export function install(file: File, progress: (part: number) => void): Promise<void> {
  const form = new FormData();
  form.set("plugin", file);
  const request = new XMLHttpRequest();
  request.open("POST", "/api/v5/plugins/install");
  request.setRequestHeader("authorization", `Bearer ${session.token}`);
  request.responseType = "json";
  return new Promise((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) => progress(total === 0 ? 0 : loaded / total);
    request.onerror = () => reject(new ApiError(0, { code: "UNREACHABLE" }));
    request.onload = () => {
      if (request.status < 400) return resolve();
      reject(new ApiError(request.status, (request.response ?? {}) as ErrorBody));
    };
    request.send(form);
  });
}
