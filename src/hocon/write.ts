// Writes plain values as HOCON text that reads back as the same values.

const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const INDENT = "  ";

/** Writes an object's fields, one per line; objects in braces, texts always quoted. Values that JSON lacks are no input. */
export function writeHocon(value: Readonly<Record<string, unknown>>): string {
  return writeFields(value, "");
}

function writeFields(value: Readonly<Record<string, unknown>>, indent: string): string {
  return Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .map(([key, inner]) => {
      const name = PLAIN_KEY.test(key) ? key : JSON.stringify(key);
      if (isObject(inner)) return `${indent}${name} {\n${writeFields(inner, indent + INDENT)}${indent}}\n`;
      return `${indent}${name} = ${writeValue(inner, indent)}\n`;
    })
    .join("");
}

function writeValue(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    if (!value.some((item) => Array.isArray(item) || isObject(item)))
      return `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
    const items = value.map((item) => `${indent + INDENT}${writeValue(item, indent + INDENT)}\n`);
    return `[\n${items.join("")}${indent}]`;
  }
  if (isObject(value)) return `{\n${writeFields(value, indent + INDENT)}${indent}}`;
  return JSON.stringify(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
