// Mends what the client library leaves open on each of its clients: a server that accepts a connection and then says nothing,
// a second error of a socket, and answers that would end the process or be written to standard error.

import type { Redis } from "ioredis";
import type { Notices } from "./notices.ts";

/** How long a connection may take from the first question to being ready and answered, in ms, at most. */
const MAX_HANDSHAKE = 2_000;
/** A server is looked at so often within that time. */
const LOOKS = 2;

const NO_PASSWORD = "{}password is set, but Redis does not ask for one: leave it empty, or let Redis ask";
/** Redis's answers to a login that it does not need; `{}` is what the keys begin with. */
const NEEDLESS_LOGIN = [
  { answer: "no password is set", notice: NO_PASSWORD },
  { answer: "without any password configured for the default user", notice: NO_PASSWORD },
  {
    answer: "wrong number of arguments for 'auth' command",
    notice:
      "a user name is set, but Redis before version 6 knows none: leave {}username empty, or use Redis 6.2 or later",
  },
];

/** How long each step on the way to a working connection may take, in ms, for calls that may take `timeout`. */
export function connectBound(timeout: number): number {
  return Math.min(timeout, MAX_HANDSHAKE);
}

export interface Tending {
  /** How long a call may take, in ms. */
  readonly timeout: number;
  readonly notices: Notices;
  /** What the keys of user name and password begin with, for messages. */
  readonly loginKeys: "redis." | "redis.sentinel_";
  /** Called with each copy of a client: the library hears its errors and does not tell them. */
  readonly copied?: (copy: Redis) => void;
}

/** To be called once for each client that the library makes. */
export function tendClient(client: Redis, tending: Tending): void {
  client.on("connect", () => {
    // The library listens for one error of a socket. One with TLS can have two, and the second would end the process.
    client.stream.on("error", () => {});
    boundSilence(client, connectBound(tending.timeout));
  });
  // The library sends ASKING without a look at the answer: a refusal would end the process. What it was sent for tells.
  const asking = client.asking.bind(client);
  client.asking = () => asking().catch(() => "OK");
  // It goes on without a login that Redis does not ask for, and writes that to standard error at each connection.
  const auth = client.auth.bind(client) as (...args: unknown[]) => Promise<"OK">;
  client.auth = (...args: unknown[]) =>
    auth(...args).catch((error: Error) => {
      const notice = NEEDLESS_LOGIN.find(({ answer }) => error.message.includes(answer))?.notice;
      if (notice === undefined) throw error;
      tending.notices.warn(notice.replace("{}", tending.loginKeys));
      return "OK";
    });
  // A cluster is asked for its slots by a copy of a node's client.
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (...args) => {
    const copy = duplicate(...args);
    tendClient(copy, tending);
    tending.copied?.(copy);
    return copy;
  };
}

/**
 * Breaks a connection that is made, but on which the server is silent: it hangs, and the system accepts in its stead. The
 * library's `connectTimeout` is over by then, and its `socketTimeout` is as long as a call may take. A new connection may
 * reach another server. Once the first answer has come, `socketTimeout` alone counts.
 */
function boundSilence(client: Redis, bound: number): void {
  const { stream } = client;
  if (stream.destroyed) return;
  let isHeard = false;
  let silentLooks = 0;
  const timer = setInterval(() => {
    const isReady = client.status === "ready";
    if (isReady && isHeard) clearInterval(timer);
    // Nothing is due before something is asked, or while a large question is still on its way.
    else if (stream.bytesWritten > 0 && !(isReady && stream.writableLength > 0) && ++silentLooks === LOOKS) {
      stream.destroy(new Error(`accepts connections, but does not answer within ${bound} ms`));
    }
  }, bound / LOOKS);
  stream.once("data", () => {
    isHeard = true;
  });
  stream.once("close", () => clearInterval(timer));
}
