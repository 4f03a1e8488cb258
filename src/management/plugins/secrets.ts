// Passwords in a plugin's configuration: shown as a mask, which comes back for "unchanged".

/** As in EMQX. */
export const MASK = "******";

/** Keys whose values nobody may see. */
const SECRET = /(?:^|_)(?:password|secret|token)$/;

type Values = Readonly<Record<string, unknown>>;

/** A copy with a mask in the place of each secret that is set. */
export function maskSecrets(values: Values): Values {
  return mapSecrets(values, (secret) => (secret === "" ? "" : MASK));
}

/** A copy with what is there now in the place of each mask. */
export function unmaskSecrets(values: Values, current: Values): Values {
  const found = (path: readonly string[]) =>
    path.reduce<unknown>((inner, key) => (isSection(inner) ? inner[key] : undefined), current);
  return mapSecrets(values, (secret, path) => (secret === MASK ? (found(path) ?? MASK) : secret));
}

function mapSecrets(
  values: Values,
  change: (secret: unknown, path: readonly string[]) => unknown,
  path: readonly string[] = [],
): Values {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const at = [...path, key];
      if (isSection(value)) return [key, mapSecrets(value, change, at)];
      return [key, SECRET.test(key) && typeof value === "string" ? change(value, at) : value];
    }),
  );
}

function isSection(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
