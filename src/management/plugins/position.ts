// Where a plugin is to stand in the order of starting, as EMQX's API says it.

import { ApiError } from "../api-error.ts";

/** The place among the others, counted from 0. Throws `ApiError` 400. */
export function placeOf(position: unknown, others: readonly string[]): number {
  if (position === "front") return 0;
  if (position === "rear") return others.length;
  const [, side, name = ""] = (typeof position === "string" && /^(before|after):(.+)$/.exec(position)) || [];
  const at = others.indexOf(name);
  if (side !== undefined && at >= 0) return side === "before" ? at : at + 1;
  throw new ApiError(
    400,
    "BAD_POSITION",
    `${JSON.stringify(position) ?? "Nothing"} is no position: front, rear, or before:<name> or after:<name> of another plugin.`,
  );
}
