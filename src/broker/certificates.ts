// What certificates mean to a TLS server: its options, which clients come in, and reading them again without a break.

import { X509Certificate } from "node:crypto";
import type { SecureContextOptions, TLSSocket, TlsOptions } from "node:tls";
import type { Logger } from "../mqtt/logger.ts";
import { type CertificateFiles, readCertificates } from "../tls/certificates.ts";
import type { TlsOptions as OurTlsOptions } from "./options.ts";

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
  server: { setSecureContext(certificates: SecureContextOptions): void },
  options: CertificateFiles,
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
