// TLS to a database server: the options that all stores share, and what they mean to Node.

import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";

export interface StoreTlsOptions {
  /** Files in PEM; absent: the authorities that Node trusts, and no client certificate. */
  readonly cacertfile?: string;
  readonly certfile?: string;
  readonly keyfile?: string;
  /** Of the key file, if it has one. */
  readonly password?: string;
  /** `verify_peer`: a server whose certificate the authorities do not vouch for is not talked to. */
  readonly verify: "verify_peer" | "verify_none";
  /** The name asked for and expected in the certificate; absent or `disable`: none, as in EMQX. */
  readonly serverNameIndication?: string;
}

/** Reads the files. Throws the error of the file system. */
export function tlsConnectionOptions(options: StoreTlsOptions): ConnectionOptions {
  const { cacertfile, certfile, keyfile, password, verify, serverNameIndication } = options;
  const name = serverNameIndication === "disable" ? undefined : serverNameIndication;
  return {
    ...(cacertfile ? { ca: readFileSync(cacertfile) } : undefined),
    ...(certfile ? { cert: readFileSync(certfile) } : undefined),
    ...(keyfile ? { key: readFileSync(keyfile) } : undefined),
    ...(password ? { passphrase: password } : undefined),
    rejectUnauthorized: verify === "verify_peer",
    ...(name ? { servername: name } : { checkServerIdentity: () => undefined }),
  };
}
