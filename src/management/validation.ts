// Checks what a request gives against the schema of its route, and says in words what is wrong.

import { Ajv, type ErrorObject } from "ajv";
import type { FastifySchemaCompiler, FastifySchemaValidationError } from "fastify";
import type { TSchema } from "typebox";

/** Bodies are what they say they are. */
const exact = new Ajv({ useDefaults: true, strictTypes: false });
/** Paths and query strings are text: `page=2` is a number where the schema has one. */
const fromText = new Ajv({ useDefaults: true, strictTypes: false, coerceTypes: true });

export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) =>
  (httpPart === "body" ? exact : fromText).compile(schema);

/** What is wrong with a value that `name` stands for; undefined: nothing. Fills in the defaults of what is left out. */
export function checkerOf(schema: TSchema, name: string): (value: unknown) => string | undefined {
  const validate = exact.compile(schema);
  return (value) => (validate(value) ? undefined : schemaErrorFormatter(validate.errors as never, name).message);
}

const PART_NAMES: Readonly<Record<string, string>> = {
  body: "the body",
  querystring: "the query string",
  params: "the path",
};

/** Ajv stops at the first mistake, so that a huge body costs no more than a small one. */
export function schemaErrorFormatter(errors: FastifySchemaValidationError[], part: string): Error {
  const [first] = errors as ErrorObject[];
  if (first === undefined) return new Error(`${part} is wrong`);
  const where =
    first.instancePath === "" ? (PART_NAMES[part] ?? part) : first.instancePath.slice(1).replaceAll("/", ".");
  return new Error(`${where} ${described(first)}`);
}

function described({ keyword, params, message = "is wrong" }: ErrorObject): string {
  switch (keyword) {
    case "additionalProperties":
      return `has ${JSON.stringify(params.additionalProperty)}, which is not known here`;
    case "required":
      return `has no ${JSON.stringify(params.missingProperty)}`;
    case "enum":
      return `must be one of ${params.allowedValues.map((value: unknown) => JSON.stringify(value)).join(", ")}`;
    case "const":
      return `must be ${JSON.stringify(params.allowedValue)}`;
    default:
      return message;
  }
}
