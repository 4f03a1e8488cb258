// Asks the API as a program does, and holds each answer against the schema that the API gives for it.

import assert from "node:assert/strict";
import { Ajv } from "ajv";

export interface ApiAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a test expects of it is what it says
  readonly body: any;
}

export interface ApiClient {
  get(path: string): Promise<ApiAnswer>;
  post(path: string, body: unknown): Promise<ApiAnswer>;
  delete(path: string): Promise<ApiAnswer>;
}

interface Described {
  readonly responses: Readonly<Record<string, { content?: Record<string, { schema: object }> }>>;
}

/** `url` without `/api/v5`; paths with it left out. */
export async function apiClient(url: string, credentials = "key:secret"): Promise<ApiClient> {
  const document = (await (await fetch(`${url}/api-docs`)).json()) as {
    paths: Record<string, Record<string, Described>>;
  };
  const ajv = new Ajv({ strict: false });
  const ask = async (method: string, path: string, body?: unknown): Promise<ApiAnswer> => {
    const response = await fetch(`${url}/api/v5${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(credentials).toString("base64")}`,
        ...(body === undefined ? undefined : { "content-type": "application/json" }),
      },
      ...(body === undefined ? undefined : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
    const schema = described(document.paths, method, path, answer.status);
    if (schema !== undefined) {
      assert.ok(ajv.validate(schema, answer.body), `${method} ${path}: ${ajv.errorsText()} in ${text.slice(0, 500)}`);
    }
    return answer;
  };
  return {
    get: (path) => ask("GET", path),
    post: (path, body) => ask("POST", path, body),
    delete: (path) => ask("DELETE", path),
  };
}

/** The schema of an answer; undefined: one without a body. Fails where the document does not know the status. */
function described(
  paths: Record<string, Record<string, Described>>,
  method: string,
  path: string,
  status: number,
): object | undefined {
  const [plain = ""] = `/api/v5${path}`.split("?");
  const candidates = Object.keys(paths).filter((one) => {
    return new RegExp(`^${one.replace(/\{[^}]+\}/g, "[^/]+")}$`).test(plain);
  });
  // One without parameters comes first.
  const found = candidates.sort((a, b) => a.split("{").length - b.split("{").length)[0];
  const responses = paths[found ?? ""]?.[method.toLowerCase()]?.responses;
  assert.ok(responses, `${method} ${plain} is in the document`);
  const response = responses[status];
  assert.ok(response, `${method} ${plain} may answer ${status}`);
  return status === 204 ? undefined : response.content?.["application/json"]?.schema;
}
