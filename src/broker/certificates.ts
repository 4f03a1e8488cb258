// Keys and certificates: read and checked, those of TLS clients too, and in a TLS server read again without a break.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { open } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import type { Logger } from "../mqtt/logger.ts";
import { CertificateError } from "./errors.ts";
import type { TlsOptions as OurTlsOptions } from "./options.ts";

/** The largest file of certificates, in bytes. */
const MAX_FILE = 1024 * 1024;
/** Lower ones are no longer safe (RFC 8996). */
const MIN_VERSION = "TLSv1.2";

type FileOption = CertificateError["option"];

/** Paths, empty for none. A client does without its own certificate and key, a server does not. */
export type CertificateFiles = Pick<OurTlsOptions, "certfile" | "keyfile" | "password" | "cacertfile">;

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

/** What a TLS server is made with. `handshakeTimeout` in seconds. */
export function tlsServerOptions(
  { verify, failIfNoPeerCert }: OurTlsOptions,
  certificates: SecureContextOptions,
  handshakeTimeout: number,
): TlsOptions {
  return {
    ...certificates,
    handshakeTimeout: handshakeTimeout * 1000,
    requestCert: verify === "verify_peer",
    // Clients without a certificate would be rejected too: clientCertificateProblem tells them from those with a wrong one.
    rejectUnauthorized: verify === "verify_peer" && failIfNoPeerCert,
  };
}

/** Why a client must not come in; undefined when it may. */
export function clientCertificateProblem({ verify }: OurTlsOptions, socket: TLSSocket): string | undefined {
  if (verify === "verify_none" || socket.authorized) return undefined;
  return socket.getPeerX509Certificate() === undefined ? undefined : String(socket.authorizationError);
}

/** Reads the files again for new connections. A file that cannot be used is logged, and what was read before stays. */
export async function reloadCertificates(
  listener: string,
  server: Server,
  options: OurTlsOptions,
  logger: Logger,
): Promise<void> {
  try {
    const certificates = await readCertificates(options);
    server.setSecureContext(certificates);
    const { validTo } = new X509Certificate(certificates.cert as Buffer);
    logger.info({ listener, certfile: options.certfile, validTo }, "certificates were read again");
  } catch (error) {
    logger.error({ listener, err: error }, "certificates stay as they were");
  }
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
