// A broker in this process whose plugin stores messages, and ways to ask it for them over HTTP.

import assert from "node:assert/strict";
import { join } from "node:path";
import { builtInPlugin } from "../../../src/cli/built-in-plugin.ts";
import { RawClient } from "../../broker/raw-client.ts";
import { connectClient, type TestClient } from "../../support/mqtt-client.ts";
import type { Scope } from "../../support/temporary-directory.ts";
import {
  ADMINISTRATOR,
  type Answer,
  type PluginBroker,
  type PluginBrokerOptions,
  startPluginBroker,
} from "../plugins/plugin-broker.ts";

export type Json = Record<string, unknown>;

export interface MessagesPage {
  readonly data: readonly Json[];
  readonly meta: {
    readonly limit: number;
    readonly start?: string;
    readonly position?: string;
    readonly count?: number;
  };
}

/** The parameters of a query string. */
export type Query = Readonly<Record<string, string | number | boolean>>;

export interface MessageBroker extends PluginBroker {
  /** The file of the store, where it is SQLite. */
  readonly file: string;
  /** A client that publishes. */
  readonly publisher: TestClient;
  /** A path behind `/offline_messages`. */
  get(path: string, query?: Query): Promise<Answer>;
  /** Asserts that the answer is 200, and gives its body. */
  page(path: string, query?: Query): Promise<MessagesPage>;
  send(
    method: string,
    path: string,
    options?: { query?: Query; body?: unknown; credentials?: string },
  ): Promise<Answer>;
  /** The answer as it comes. */
  fetch(path: string, options?: RequestInit & { query?: Query; duplex?: "half" }): Promise<Response>;
  /** The text of an export. */
  export(topic?: string): Promise<string>;
  import(lines: string | ReadableStream<Uint8Array>): Promise<Answer>;
  /** A client that acknowledges nothing by itself. */
  connect(clientId: string, receiveMaximum?: number): Promise<RawClient>;
}

const SQLITE = 'sqlite { enable = true, topics = ["#"] }';

/** `config`: of the plugin, in HOCON. */
export async function startMessageBroker(
  scope: Scope,
  config: string = SQLITE,
  options: PluginBrokerOptions = {},
): Promise<MessageBroker> {
  const builtIn = builtInPlugin(config);
  const broker = await startPluginBroker(scope, { builtIn, ...options });
  const pathOf = (path: string, query: Query = {}) => {
    const texts = Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]);
    const search = new URLSearchParams(texts).toString();
    return `/offline_messages${path}${search === "" ? "" : `?${search}`}`;
  };
  const get: MessageBroker["get"] = (path, query) => broker.ask({ path: pathOf(path, query) });
  const fetchPath: MessageBroker["fetch"] = (path, { query, headers, ...rest } = {}) => {
    const authorization = `Basic ${Buffer.from(ADMINISTRATOR).toString("base64")}`;
    return fetch(`${broker.url}/api/v5${pathOf(path, query)}`, { headers: { authorization, ...headers }, ...rest });
  };
  return {
    ...broker,
    file: join(broker.folder, builtIn.info.name, "messages.db"),
    publisher: await connectClient(scope, broker.address, { clientId: "publisher" }),
    get,
    async page(path, query) {
      const { status, body } = await get(path, query);
      assert.equal(status, 200, JSON.stringify(body));
      return body as MessagesPage;
    },
    send(method, path, { query, body, credentials } = {}) {
      const json = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      const asked = { method, path: pathOf(path, query), ...(body === undefined ? undefined : json) };
      return broker.ask({ ...asked, ...(credentials === undefined ? undefined : { credentials }) });
    },
    fetch: fetchPath,
    async export(topic) {
      const answer = await fetchPath("/export", { query: topic === undefined ? {} : { topic } });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("content-type"), "application/x-ndjson");
      return answer.text();
    },
    async import(lines) {
      const answer = await fetchPath("/import", {
        method: "POST",
        headers: { "content-type": "application/x-ndjson" },
        body: lines,
        duplex: "half",
      });
      return { status: answer.status, body: await answer.json(), headers: {} };
    },
    connect: (clientId, receiveMaximum = 10) =>
      RawClient.connect(broker.address.port, { clientId, properties: { receiveMaximum } }),
  };
}

/** All pages of a list, in the order of their positions. */
export async function allPages(broker: MessageBroker, path: string, query: Query): Promise<Json[]> {
  const found: Json[] = [];
  let position: string | undefined;
  do {
    const page = await broker.page(path, { ...query, ...(position === undefined ? {} : { position }) });
    assert.ok(page.data.length <= page.meta.limit);
    found.push(...page.data);
    position = page.meta.position;
  } while (position !== undefined);
  return found;
}

/** Asserts status and code, and gives the message. */
export function refused(answer: Answer, status: number, code: string): string {
  const { message, ...rest } = answer.body as { code: string; message: string };
  assert.deepEqual({ status: answer.status, ...rest }, { status, code }, message);
  return message;
}

/** A line of an import. */
export function lineOf(msgid: string, topic: string, payload: string, rest: Json = {}): string {
  return `${JSON.stringify({ msgid, topic, qos: 1, publish_at: Date.now(), payload, ...rest })}\n`;
}
