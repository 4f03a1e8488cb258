// Whether a file is not there, as the system says it.

/** Nor is there one where a part of its path is a file. */
export function isNoSuchFile(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
