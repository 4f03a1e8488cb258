// Uploads a package.

import { upload } from "./upload.ts";

/** `progress`: 0 to 1. Rejects with `ApiError`. */
export function install(file: File, progress: (part: number) => void): Promise<void> {
  const body = new FormData();
  body.set("plugin", file);
  return upload({ path: "/plugins/install", body, progress });
}
