// The secret of the link, from its file.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { MAX_SECRET_BYTES, MIN_SECRET_BYTES } from "../emqx/handshake.ts";
import { systemCause } from "../files/system-cause.ts";
import { lineProblem } from "../plugin/config-schema.ts";
import { StartError } from "./cli-error.ts";

/** An editor's last line end is no part of the secret, and one byte more tells that the file is too long. */
const MOST_READ = MAX_SECRET_BYTES + "\r\n".length + 1;

/**
 * The only line of the file, without its end. Throws `StartError` for a file that cannot be read, is too long, too short, has several lines or blanks
 * at the ends of its line, or is no regular file: others may have no end.
 */
export function readSecret(path: string): Buffer {
  const text = read(path);
  if (text.length === MOST_READ) {
    throw new StartError(
      `${path} is too long for a secret, which has ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes`,
    );
  }
  const end = text.at(-1) === 0x0a ? (text.at(-2) === 0x0d ? -2 : -1) : undefined;
  const secret = text.subarray(0, end);
  const problem = lineProblem(secret.toString("utf8"));
  if (problem !== undefined) {
    throw new StartError(`the secret in ${path} ${problem}: it is one line, the same as engine.secret in EMQX`);
  }
  if (secret.length >= MIN_SECRET_BYTES && secret.length <= MAX_SECRET_BYTES) return secret;
  const range = `${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES}`;
  throw new StartError(
    `the secret in ${path} has ${secret.length} bytes, and needs ${range}: head -c 32 /dev/urandom | base64 makes one`,
  );
}

/** As much as is needed of it. */
function read(path: string): Buffer {
  let file: number | undefined;
  try {
    // A pipe without a writer would keep us here.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(file).isFile()) throw new StartError(`${path} is no regular file: name a file with the secret`);
    const buffer = Buffer.alloc(MOST_READ);
    let length = 0;
    for (let count = -1; count !== 0 && length < MOST_READ; length += count) {
      count = readSync(file, buffer, length, MOST_READ - length, null);
    }
    return buffer.subarray(0, length);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`cannot read the secret ${path}: ${systemCause(error)}`, { cause: error });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
