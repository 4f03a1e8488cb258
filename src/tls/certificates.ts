// Reads keys and certificates, and sees that they fit together: those of servers and of TLS clients.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { open } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { CodedError } from "../mqtt/coded-error.ts";

/** The largest file of certificates, in bytes. */
const MAX_FILE = 1024 * 1024;
/** Lower ones are no longer safe (RFC 8996). */
const MIN_VERSION = "TLSv1.2";

/** A file with a certificate or key cannot be used. */
export class CertificateError extends CodedError {
  /** The option that names the file. */
  readonly option: "certfile" | "keyfile" | "cacertfile";

  constructor(option: CertificateError["option"], message: string, options?: ErrorOptions) {
    super("BROKER_CERTIFICATE_INVALID", message, options);
    this.option = option;
  }
}

type FileOption = CertificateError["option"];

/** Paths in PEM, empty for none. A client does without its own certificate and key, a server does not. */
export interface CertificateFiles {
  readonly certfile: string;
  readonly keyfile: string;
  /** Of the key file, if it has one. */
  readonly password: string;
  readonly cacertfile: string;
}

/** Reads the files and sees that they fit together. Rejects with `CertificateError`, which names the option and the file. */
export async function readCertificates(files: CertificateFiles): Promise<SecureContextOptions> {
  const { certfile, cacertfile } = files;
  const own = certfile === "" && files.keyfile === "" ? {} : await readOwn(files);
  const ca = cacertfile === "" ? undefined : await readPem("cacertfile", cacertfile);
  if (ca !== undefined) parsed("cacertfile", cacertfile, "has no certificate", () => new X509Certificate(ca));
  const context: SecureContextOptions = { ...own, ca, minVersion: MIN_VERSION };
  parsed("certfile", certfile, "cannot be used", () => createSecureContext(context));
  return context;
}

/** A certificate and its key. */
async function readOwn({ certfile, keyfile, password }: CertificateFiles): Promise<SecureContextOptions> {
  if (keyfile === "") throw new CertificateError("keyfile", `is missing: name the key of ${certfile}`);
  if (certfile === "") throw new CertificateError("certfile", `is missing: name the certificate of ${keyfile}`);
  const cert = await readPem("certfile", certfile);
  const key = await readPem("keyfile", keyfile);
  const passphrase = password === "" ? undefined : password;
  const certificate = parsed("certfile", certfile, "has no certificate", () => new X509Certificate(cert));
  const privateKey = parsed("keyfile", keyfile, "has no key that can be read", () =>
    createPrivateKey({ key, passphrase }),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new CertificateError("keyfile", `${keyfile}: is not the key of the certificate in ${certfile}`);
  }
  return { cert, key, passphrase };
}

async function readPem(option: FileOption, path: string): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const buffer = Buffer.allocUnsafe(MAX_FILE + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        read = (await file.read(buffer, length, buffer.length - length)).bytesRead;
      }
      if (length > MAX_FILE) throw new Error(`it is larger than ${MAX_FILE} bytes`);
      return Buffer.from(buffer.subarray(0, length));
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new CertificateError(option, `${path}: cannot be read: ${readCause(cause)}`, { cause });
  }
}

function readCause(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES") return "permission denied";
  return message;
}

function parsed<T>(option: FileOption, path: string, problem: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new CertificateError(option, `${path}: ${problem} (PEM): ${(cause as Error).message}`, { cause });
  }
}
