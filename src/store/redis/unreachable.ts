// A server that cannot be reached: which one it is, and why in words that tell what to look at.

export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
  /** Begins a sentence. */
  readonly server: string;
  /** Ends it. */
  readonly advice: string;

  /** The message is the cause. */
  constructor(server: string, cause: string, advice: string) {
    super(cause);
    this.server = server;
    this.advice = advice;
  }
}

/** What a server that does not speak TLS does to a handshake, or one that does to a plain command: it closes, or waits for more. */
const CUT_WITHOUT_TLS = /ECONNRESET|EPIPE|hang up|closed/;
const CUT_WITH_TLS = /ECONNRESET|EPIPE|hang up|closed|disconnected|time[d-]? ?out|wrong version|packet length/i;

/**
 * Why a connection cannot be made or broke, without a full stop. `isAnswered`: Redis has answered before, so that it is
 * not TLS that is missing.
 */
export function causeOf(error: Error, { tls, isAnswered }: { tls: boolean; isAnswered: boolean }): string {
  // OpenSSL's whole message names its source files.
  const { message, reason } = error as Error & { reason?: unknown };
  const cause = (typeof reason === "string" ? reason : message).replace(/[.\s]+$/, "");
  if (isAnswered || !(tls ? CUT_WITH_TLS : CUT_WITHOUT_TLS).test(message)) return cause;
  return `${cause}; ${tls ? "it may not speak TLS, or ask for a client certificate" : "it may expect TLS: redis.ssl.enable"}`;
}
