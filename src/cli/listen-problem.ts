// Says in the words of the command line why an address and port cannot be listened on.

import type { ListenError } from "../broker/errors.ts";
import { StartError, systemCause } from "./cli-error.ts";
import type { BindAddress } from "./omp-config.ts";

/** Lower ports are for the superuser, unless the machine is set up otherwise. */
const FIRST_FREE_PORT = 1024;

export function listenProblem(error: ListenError, { host, port }: BindAddress): StartError {
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  const cannot = `cannot listen on ${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (code === "EACCES" && port < FIRST_FREE_PORT) {
    const message =
      `${cannot}: ${systemCause(error.cause)}: ports below ${FIRST_FREE_PORT} need rights that this user does not have ` +
      "(CAP_NET_BIND_SERVICE): choose a higher one with --port";
    return new StartError(message, { cause: error });
  }
  if (code === "EADDRNOTAVAIL") {
    const message = `${cannot}: ${host} is no address of this machine: choose another with --host`;
    return new StartError(message, { cause: error });
  }
  return new StartError(error.message, { cause: error });
}
