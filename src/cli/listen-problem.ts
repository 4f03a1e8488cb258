// Says in the words of the command line why an address and port cannot be listened on.

import type { ListenError } from "../broker/errors.ts";
import { systemCause } from "../files/system-cause.ts";
import { addressText } from "../mqtt/address-text.ts";
import { StartError } from "./cli-error.ts";

/** Lower ports are for the superuser, unless the machine is set up otherwise. */
const FIRST_FREE_PORT = 1024;

/** The options that say where listeners listen; the others have only their keys in omp.hocon. */
const PORT_OPTIONS: Readonly<Record<string, string>> = {
  "listeners.tcp.default": "--port",
  "listeners.ws.default": "--ws-port",
  "dashboard.listeners.http": "--dashboard-port",
};

export function listenProblem(error: ListenError): StartError {
  const { listener, host, port } = error;
  const hostOption = listener.startsWith("dashboard.") ? `${listener}.bind` : "--host";
  const option = PORT_OPTIONS[listener] ?? `${listener}.bind`;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  const cannot = `cannot listen on ${addressText(error)} for ${listener}`;
  if (code === "EACCES" && port < FIRST_FREE_PORT) {
    const message =
      `${cannot}: ${systemCause(error.cause)}: ports below ${FIRST_FREE_PORT} need rights that this user does not have ` +
      `(CAP_NET_BIND_SERVICE): choose a higher one with ${option}`;
    return new StartError(message, { cause: error });
  }
  if (code === "EADDRNOTAVAIL") {
    const message = `${cannot}: ${host} is no address of this machine: choose another with ${hostOption}`;
    return new StartError(message, { cause: error });
  }
  if (code === "EADDRINUSE") {
    const message = `${cannot}: the port is in use (${code}): stop what listens there, or choose another with ${option}`;
    return new StartError(message, { cause: error });
  }
  return new StartError(error.message, { cause: error });
}
