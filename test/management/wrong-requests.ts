// Makes requests that are wrong by the OpenAPI document: whatever they are, they must be refused.

import { Ajv } from "ajv";
import type { Asked } from "./plugins/plugin-broker.ts";

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly anyOf?: readonly Schema[];
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly schema: Schema;
}

export interface Operation {
  readonly summary?: string;
  readonly security?: readonly unknown[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export interface WrongRequest extends Asked {
  /** For the report of a failure. */
  readonly what: string;
}

const METHODS = ["get", "post", "put", "delete", "patch"];
const JSON_TYPE = { "content-type": "application/json" };
const exact = new Ajv({ strictTypes: false, formats: { binary: true } });
const fromText = new Ajv({ strictTypes: false, coerceTypes: true });
/** One more than the limit of a body. */
const HUGE = 1024 * 1024 + 1;

/** `known` has a value for each parameter of a path, of something that is there. */
export function wrongRequests({ paths }: Document, known: Readonly<Record<string, string>>): WrongRequest[] {
  return Object.entries(paths).flatMap(([template, operations]) => [
    ...wrongMethods(template, operations, known),
    ...Object.entries(operations).flatMap(([method, operation]) => {
      const path = filled(template, known);
      const at = { method: method.toUpperCase(), path, isAbsolute: true };
      const what = `${at.method} ${template}`;
      return [
        ...wrongCredentials(operation).map((wrong) => ({ ...at, ...wrong, what: `${what} with ${wrong.what}` })),
        ...wrongPaths(template, known).map((wrong) => ({ ...at, path: wrong, what: `${at.method} ${wrong}` })),
        ...wrongQueries(operation).map((query) => ({ ...at, path: `${path}?${query}`, what: `${what}?${query}` })),
        ...wrongBodies(operation).map((wrong) => ({ ...at, ...wrong, what: `${what} with ${wrong.what}` })),
      ];
    }),
  ]);
}

function filled(template: string, known: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = known[name];
    if (value === undefined) throw new Error(`no value is known for {${name}} of ${template}`);
    return encodeURIComponent(value);
  });
}

function wrongMethods(
  template: string,
  operations: Readonly<Record<string, Operation>>,
  known: Readonly<Record<string, string>>,
): WrongRequest[] {
  const path = filled(template, known);
  return METHODS.filter((method) => !Object.hasOwn(operations, method)).map((method) => ({
    method: method.toUpperCase(),
    path,
    isAbsolute: true,
    what: `${method} ${template}`,
  }));
}

function wrongCredentials({ security }: Operation) {
  if (security?.length === 0) return [];
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  const wrong = [
    "",
    "Digest a=b",
    basic("nobody:secret"),
    basic(""),
    basic(":"),
    "Bearer x",
    `Bearer ${"x".repeat(9000)}`,
  ];
  return wrong.map((authorization) => ({
    credentials: "",
    headers: { authorization },
    what: `authorization ${authorization.slice(0, 40)}`,
  }));
}

const NAMES = ["..%2f..%2f..%2fetc%2fpasswd", "%00", "%ff", "%2e%2e", "x".repeat(5000), "__proto__", "a%0d%0ab", "*"];

function wrongPaths(template: string, known: Readonly<Record<string, string>>): string[] {
  return [...template.matchAll(/\{(\w+)\}/g)].flatMap(([hole, name = ""]) =>
    NAMES.map((wrong) => {
      const [before = "", after = ""] = template.split(hole);
      return filled(before, known) + wrong + filled(after, known);
    }).filter((path) => known[name] !== undefined && path !== template),
  );
}

function wrongQueries({ parameters = [] }: Operation): string[] {
  const ofQuery = parameters.filter((parameter) => parameter.in === "query");
  const wrong = ofQuery.flatMap(({ name, schema }) => {
    const isRight = fromText.compile({ type: "object", properties: { value: schema } });
    const texts = ["", "x", "-1", "1e99", "1.5", "%00", "true", "[]", "9".repeat(30), "x".repeat(5000)];
    return texts.filter((value) => !isRight({ value })).map((value) => `${name}=${encodeURIComponent(value)}`);
  });
  return ["no_such_parameter=1", ...wrong];
}

function wrongBodies({ requestBody }: Operation) {
  const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  if (type === undefined || content === undefined) return [];
  const plain = { "content-type": "text/plain" };
  const wrongTypes = [
    { headers: plain, body: "{}", what: "text" },
    { headers: { "content-type": "application/xml" }, body: "<a/>", what: "XML" },
    { headers: { "content-type": "nonsense" }, body: "{}", what: "no content type" },
  ];
  if (type !== "application/json") return [...wrongTypes, { headers: JSON_TYPE, body: "{}", what: "JSON" }];
  const isRight = exact.compile(content.schema as object);
  const values = candidates(content.schema).filter((value) => !isRight(value));
  return [
    ...wrongTypes,
    { headers: JSON_TYPE, body: "{", what: "half a JSON" },
    { headers: JSON_TYPE, body: `{"a": "${"x".repeat(HUGE)}"}`, what: "a huge body" },
    { headers: JSON_TYPE, body: '{"__proto__": {"a": 1}}', what: "a prototype" },
    ...values.map((value) => {
      const body = JSON.stringify(value);
      return { headers: JSON_TYPE, body, what: body.slice(0, 200) };
    }),
  ];
}

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  "",
  "x",
  "\u0000",
  "x".repeat(5000),
  [],
  [null],
  {},
  { a: 1 },
];

/** Values of which most are wrong. */
function candidates(schema: Schema): unknown[] {
  const right = sample(schema);
  const changed: unknown[] = [];
  if (typeof right === "object" && right !== null && !Array.isArray(right)) {
    changed.push({ ...right, no_such_field: 1 });
    for (const name of schema.required ?? []) {
      const { [name]: _, ...rest } = right as Record<string, unknown>;
      changed.push(rest);
    }
    for (const [name, inner] of Object.entries(schema.properties ?? {})) {
      for (const value of candidates(inner)) changed.push({ ...right, [name]: value });
    }
  }
  if (Array.isArray(right) && schema.items !== undefined) {
    for (const value of candidates(schema.items)) changed.push([sample(schema.items), value]);
  }
  return [...VALUES, ...changed];
}

/** A value that is right, or nearly so. */
function sample({ type, enum: choices, properties = {}, required = [], items, minimum = 1, anyOf }: Schema): unknown {
  if (choices !== undefined) return choices[0];
  if (anyOf !== undefined) return sample(anyOf.at(-1) ?? {});
  switch (Array.isArray(type) ? type[0] : type) {
    case "object":
      return Object.fromEntries(required.map((name) => [name, sample(properties[name] ?? {})]));
    case "array":
      return items === undefined ? [] : [sample(items)];
    case "integer":
    case "number":
      return minimum;
    case "boolean":
      return true;
    default:
      return "abc";
  }
}
