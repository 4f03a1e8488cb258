// MQTT over TLS.

import { createServer, type SecureContextOptions, type Server } from "node:tls";
import type { Logger } from "../mqtt/logger.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { clientCertificateProblem, tlsServerOptions } from "./certificates.ts";
import type { Accept } from "./listener.ts";
import type { TlsOptions } from "./options.ts";

export interface TlsServerParts {
  readonly tls: TlsOptions;
  readonly certificates: SecureContextOptions;
  /** In seconds. */
  readonly handshakeTimeout: number;
  readonly accept: Accept;
  readonly logger: Logger;
}

export function tlsServer({ tls, certificates, handshakeTimeout, accept, logger }: TlsServerParts): Server {
  const refused = new RepeatedWarning(logger, "a client's certificate was refused", () => Date.now());
  const server = createServer({ ...tlsServerOptions(tls, certificates, handshakeTimeout), noDelay: true }, (socket) => {
    const problem = clientCertificateProblem(tls, socket);
    if (problem === undefined) {
      accept(socket);
      return;
    }
    refused.warn({ remoteAddress: socket.remoteAddress, problem });
    socket.on("error", () => {});
    socket.destroy();
  });
  server.on("tlsClientError", (error, socket) => {
    logger.debug({ err: error, remoteAddress: socket.remoteAddress }, "a TLS handshake failed");
    // Node itself leaves it open after a timeout.
    socket.destroy();
  });
  return server;
}
