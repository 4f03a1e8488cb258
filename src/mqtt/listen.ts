// Listens on an address, and says in words why that cannot be.

import type { Server } from "node:net";
import { addressText } from "./address-text.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const OTHER_ADDRESS = "choose another address or port";
/** What to do about the system's errors. */
const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "stop what listens there, or choose another port",
  EACCES: "choose a port that this user may listen on, from 1024",
  EADDRNOTAVAIL: "that is no address of this machine: choose another",
  ENOTFOUND: "no address is known for that name: correct it, or choose an address of this machine",
  EAI_AGAIN: "the name cannot be looked up now: choose an address of this machine, or try again",
};

/** Settles with the address that was bound. Rejects with the system's error. */
export function listenOn(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  const { promise, resolve, reject } = Promise.withResolvers<ListenAddress>();
  server.once("error", reject);
  server.listen({ host, port }, () => {
    server.off("error", reject);
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server has an address and a port");
    resolve({ host: address.address, port: address.port });
  });
  return promise;
}

/** A sentence about the system's error; `what`: for whom it should have listened. */
export function listenFailure(address: ListenAddress, what: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const hint = HINTS[code ?? ""] ?? OTHER_ADDRESS;
  return `Cannot listen on ${addressText(address)} for ${what} (${code ?? message}): ${hint}.`;
}
