// What the schemas of many routes have in common.

import { type TSchema, Type } from "typebox";

/** One of these texts. */
export function oneOf<const T extends readonly string[]>(values: T, options: { default?: T[number] } = {}) {
  return Type.Unsafe<T[number]>({ type: "string", enum: [...values], ...options });
}

/** An object with these fields and no other. Those that have a default need not be given: whoever handles it has them. */
export function exactly<T extends Record<string, TSchema>>(fields: T, options: { description?: string } = {}) {
  const withoutOptional: readonly string[] = (Type.Object(fields) as { readonly required?: string[] }).required ?? [];
  const required = withoutOptional.filter((name) => !Object.hasOwn(fields[name] ?? {}, "default"));
  return Type.Object(fields, { additionalProperties: false, required, ...options });
}

const ErrorBody = Type.Object({ code: Type.String(), message: Type.String() });

/** Answers that are errors. */
export function errors<const S extends number>(...statuses: readonly S[]): Record<S, typeof ErrorBody> {
  return Object.fromEntries(statuses.map((status) => [status, ErrorBody])) as Record<S, typeof ErrorBody>;
}

/** An answer without a body. */
export const NoContent = Type.Unsafe<unknown>({ type: "null", description: "Done" });

/** Nobody is asked for a key. */
export const NO_SECURITY: readonly { [name: string]: readonly string[] }[] = [];
