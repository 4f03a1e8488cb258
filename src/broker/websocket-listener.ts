// MQTT over WebSocket, plain and secure: answers the HTTP requests, and makes streams of bytes of what is upgraded.

import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import type { Duplex } from "node:stream";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { WebSocketServer, type ServerOptions as WebSocketServerOptions } from "ws";
import type { Logger } from "../mqtt/logger.ts";
import { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import { clientCertificateProblem, tlsServerOptions } from "./certificates.ts";
import type { Accept } from "./listener.ts";
import type { TlsOptions, WebSocketOptions } from "./options.ts";
import { WebSocketStream } from "./websocket-stream.ts";

/** [MQTT-6.0.0-4]; the second is what clients of MQTT 3.1 ask for. In the order of preference. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"];
/** How often handshakes that take too long are looked for, in ms. */
const HANDSHAKE_CHECK = 1000;
/** A client that has said goodbye gets so long to end its connection, in ms. */
const CLOSE_TIMEOUT = 2000;
/** Frames that one message may consist of. */
const MAX_FRAGMENTS = 4096;
/** Pieces that a message may arrive in: one for so many bytes of the largest message, and some more. */
const BYTES_PER_CHUNK = 256;
const SPARE_CHUNKS = 4096;

export interface WebSocketServerParts {
  readonly websocket: WebSocketOptions;
  /** Absent: without TLS. */
  readonly secure?: { readonly tls: TlsOptions; readonly certificates: SecureContextOptions };
  /** For TLS and HTTP each, in seconds. */
  readonly handshakeTimeout: number;
  readonly maxPacketSize: number;
  readonly accept: Accept;
  readonly logger: Logger;
}

/** Why a request is not upgraded. */
interface Refusal {
  readonly status: string;
  readonly reason: string;
}

export function webSocketServer(parts: WebSocketServerParts & { secure: object }): SecureServer;
export function webSocketServer(parts: WebSocketServerParts): Server;
export function webSocketServer(parts: WebSocketServerParts): Server | SecureServer {
  const { websocket, secure, handshakeTimeout, logger } = parts;
  const upgrades = new WebSocketServer(webSocketOptions(parts));
  const originWarning = new RepeatedWarning(
    logger,
    "a web page was refused: websocket.check_origins says which may connect",
    () => Date.now(),
  );
  const http: ServerOptions = {
    noDelay: true,
    headersTimeout: handshakeTimeout * 1000,
    requestTimeout: handshakeTimeout * 1000,
    connectionsCheckingInterval: Math.min(HANDSHAKE_CHECK, handshakeTimeout * 1000),
  };
  const server =
    secure === undefined
      ? createServer(http)
      : createSecureServer({ ...http, ...tlsServerOptions(secure.tls, secure.certificates, handshakeTimeout) });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const isMqtt = pathOf(request) === websocket.mqttPath;
    response.writeHead(isMqtt ? 426 : 404, { Connection: "close", ...(isMqtt && { Upgrade: "websocket" }) });
    response.end(isMqtt ? "MQTT over WebSocket is spoken here.\n" : "Not found.\n");
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const refusal = refusalOf(parts, request);
    if (refusal === undefined) {
      upgrades.handleUpgrade(request, socket, head, (webSocket) => {
        parts.accept(new WebSocketStream(webSocket, request.socket));
      });
      return;
    }
    const { origin } = request.headers;
    logger.debug({ remoteAddress: request.socket.remoteAddress, origin, ...refusal }, "a WebSocket was refused");
    if (refusal === FOREIGN_ORIGIN) originWarning.warn({ origin });
    refuse(socket, refusal);
  });
  server.on("tlsClientError", (error: Error) => logger.debug({ err: error }, "a TLS handshake failed"));
  return server;
}

function webSocketOptions({ websocket, maxPacketSize }: WebSocketServerParts): WebSocketServerOptions {
  const maxPayload = Math.max(websocket.maxFrameSize, maxPacketSize);
  // Pongs that wait for a client that only pings are limited to 60 by ws itself.
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // Text is refused whatever it says.
    skipUTF8Validation: true,
    maxPayload,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: SPARE_CHUNKS + Math.ceil(maxPayload / BYTES_PER_CHUNK),
    closeTimeout: CLOSE_TIMEOUT,
    handleProtocols: (offered: Set<string>) => SUBPROTOCOLS.find((known) => offered.has(known)) ?? false,
  };
  return options;
}

const FOREIGN_ORIGIN: Refusal = {
  status: "403 Forbidden",
  reason: "Pages of this origin may not connect: websocket.check_origins in the broker's configuration says which may.",
};

function refusalOf({ websocket, secure }: WebSocketServerParts, request: IncomingMessage): Refusal | undefined {
  const problem = secure && clientCertificateProblem(secure.tls, request.socket as TLSSocket);
  if (problem !== undefined) return { status: "403 Forbidden", reason: `The client's certificate: ${problem}` };
  if (pathOf(request) !== websocket.mqttPath) return { status: "404 Not Found", reason: "Not found." };
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (!SUBPROTOCOLS.some((known) => offered.includes(known))) {
    return { status: "400 Bad Request", reason: 'The WebSocket subprotocol must be "mqtt".' };
  }
  const { origin } = request.headers;
  if (websocket.checkOriginEnable && origin !== undefined && !mayConnect(origin, websocket.checkOrigins)) {
    return FOREIGN_ORIGIN;
  }
  return undefined;
}

/**
 * Any page that a browser on this machine shows could connect to 127.0.0.1 otherwise. Clients that are no browsers send no
 * origin.
 */
function mayConnect(origin: string, allowed: readonly string[]): boolean {
  if (allowed.includes(origin.toLowerCase())) return true;
  const { hostname } = URL.parse(origin) ?? {};
  return hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]";
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0] as string;
}

function refuse(socket: Duplex, { status, reason }: Refusal): void {
  socket.on("error", () => {});
  const headers = `Connection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(reason) + 1}\r\n`;
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n${reason}\n`, () => socket.destroy());
}
