// Loopback TCP ports that nothing listens on. Prefer to listen on port 0 and to ask for the port where that is possible.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";

/** Where ports for servers that come and go begin; below are those of well-known services. */
const FIRST_LASTING_PORT = 10_000;
/** Where Linux begins to take ports for outgoing connections, unless it says otherwise. */
const FIRST_EPHEMERAL_PORT = 32_768;

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/**
 * A port for a server that is ended and started again: none that the system gives to outgoing connections, which could
 * take it meanwhile (a client that tries to reconnect to such a port can even reach itself).
 */
export async function lastingPort(): Promise<number> {
  const end = firstEphemeralPort();
  for (;;) {
    const port = FIRST_LASTING_PORT + Math.floor(Math.random() * (end - FIRST_LASTING_PORT));
    const server = createServer();
    try {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    } catch {
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}

function firstEphemeralPort(): number {
  try {
    const first = Number.parseInt(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"), 10);
    return first > FIRST_LASTING_PORT + 1000 ? first : FIRST_EPHEMERAL_PORT;
  } catch {
    return FIRST_EPHEMERAL_PORT;
  }
}
