// What sentinels answer instead of the master's address, in words that tell what to do.

import { causeOf } from "./unreachable.ts";

/** `retry`: may be over in a moment. `refused`: lasts until somebody does something. */
export class SentinelError extends Error {
  override readonly name = "SentinelError";
  readonly kind: "retry" | "refused";

  constructor(kind: "retry" | "refused", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** By the first word of a sentinel's answer. */
const REFUSED: Readonly<Record<string, string>> = {
  NOAUTH:
    "The sentinels ask for a password, and are asked without one: set redis.sentinel_password, and redis.sentinel_username if they have users.",
  WRONGPASS:
    "The sentinels do not accept the user name and password: correct redis.sentinel_username and redis.sentinel_password.",
  NOPERM: "The sentinels do not allow what the store needs: let redis.sentinel_username use SENTINEL and SUBSCRIBE.",
};

/** The error for what all sentinels, named in `where`, answered or failed with; `way` as of `causeOf`. */
export function sentinelProblem(
  errors: readonly Error[],
  where: string,
  way: { readonly tls: boolean; readonly isAnswered: boolean },
): SentinelError {
  const refusals = errors.map((error) => {
    if (error instanceof SentinelError) return error;
    if (error.name !== "ReplyError") return undefined;
    if (/unknown command/i.test(error.message)) {
      return new SentinelError(
        "refused",
        `Redis at ${where} is no sentinel: correct redis.servers or redis.redis_type.`,
      );
    }
    const words = REFUSED[error.message.split(" ", 1)[0] ?? ""];
    return new SentinelError("refused", words ?? `A sentinel refuses a command: ${error.message}.`);
  });
  // Others may just be away: what was refused can be mended.
  const refusal = refusals.find((error) => error !== undefined);
  if (refusal !== undefined) return refusal;
  const cause = causeOf(errors.at(-1) ?? new Error("no answer"), way);
  return new SentinelError(
    "retry",
    `No sentinel at ${where} can be reached (${cause}): start one, or correct redis.servers and redis.ssl.`,
  );
}
