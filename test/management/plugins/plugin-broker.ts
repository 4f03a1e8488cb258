// A broker in this process with its HTTP API and control socket, for tests of plugins.

import { type Agent, request } from "node:http";
import { join } from "node:path";
import { type BrokerOptions, defaultOptions } from "../../../src/broker/options.ts";
import { EmbeddedBroker, type EmbeddedBrokerAddresses } from "../../../src/cli/embedded-broker.ts";
import { Accounts, type AccountsParts } from "../../../src/management/accounts/accounts.ts";
import { defaultManagementOptions, type ManagementOptions } from "../../../src/management/options.ts";
import type { PluginSource } from "../../../src/management/plugins/plugin-source.ts";
import { type LogEntry, loggerInto } from "../../broker/broker-fixture.ts";
import type { Address } from "../../support/mosquitto.ts";
import { inReverse, type Scope, temporaryDirectory } from "../../support/temporary-directory.ts";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Asked {
  readonly method?: string;
  /** Behind `/api/v5`, unless it is absolute. */
  readonly path: string;
  readonly isAbsolute?: boolean;
  /** `key:secret`; absent: the administrator's; empty: none. */
  readonly credentials?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Over the control socket. */
  readonly isLocal?: boolean;
  readonly agent?: Agent | undefined;
}

export interface PluginBroker {
  readonly embedded: EmbeddedBroker;
  readonly accounts: Accounts;
  readonly addresses: EmbeddedBrokerAddresses;
  readonly folder: string;
  /** Of the HTTP API. */
  readonly url: string;
  /** Of MQTT. */
  readonly address: Address;
  readonly log: readonly LogEntry[];
  ask(asked: Asked): Promise<Answer>;
  /** Uploads a package. */
  install(
    fileName: string,
    archive: Uint8Array,
    options?: { field?: string; isLocal?: boolean; agent?: Agent },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

export const ADMINISTRATOR = "key:secret";

export interface PluginBrokerOptions {
  readonly folder?: string;
  readonly builtIn?: PluginSource;
  readonly broker?: Partial<BrokerOptions>;
  /** Where sessions are kept; absent: they end with the broker. */
  readonly databasePath?: string;
  readonly management?: Partial<ManagementOptions>;
  readonly dashboardFolder?: string;
  /** The file of the accounts. */
  readonly accounts?: string;
  readonly accountsParts?: Partial<AccountsParts>;
}

/** The HTTP API on any free port. */
export const managementOnFreePort: ManagementOptions = {
  ...defaultManagementOptions,
  http: { ...defaultManagementOptions.http, port: 0 },
};

export async function startPluginBroker(scope: Scope, options: PluginBrokerOptions = {}): Promise<PluginBroker> {
  const inner = inReverse(scope);
  const folder = options.folder ?? join(temporaryDirectory(inner), "plugins");
  const controlSocket = join(temporaryDirectory(inner), "control.sock");
  const accounts = new Accounts({
    path: options.accounts ?? join(temporaryDirectory(inner), "accounts.json"),
    bootstrapKeys: [
      { key: "key", secret: "secret", role: "administrator" },
      { key: "viewer", secret: "secret", role: "viewer" },
      { key: "publisher", secret: "secret", role: "publisher" },
    ],
    ...options.accountsParts,
  });
  const log: LogEntry[] = [];
  const embedded = new EmbeddedBroker({
    brokerOptions: { ...defaultOptions, port: 0, ...options.broker },
    databasePath: options.databasePath,
    management: { options: { ...managementOnFreePort, ...options.management }, accounts },
    pluginFolder: folder,
    builtIn: options.builtIn,
    controlSocket,
    dashboardFolder: options.dashboardFolder,
    logger: loggerInto(log),
  });
  const addresses = await embedded.start();
  const { http, mqtt } = addresses;
  inner.after(() => embedded.stop());
  const ask = ({
    method = "GET",
    path,
    credentials = ADMINISTRATOR,
    headers = {},
    body,
    isLocal,
    agent,
    ...asked
  }: Asked) =>
    send({
      ...(isLocal ? { socketPath: controlSocket } : { host: http?.host, port: http?.port }),
      method,
      path: asked.isAbsolute ? path : `/api/v5${path}`,
      headers: {
        ...(credentials === "" || isLocal
          ? {}
          : { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` }),
        ...headers,
      },
      body,
      agent,
    });
  const install: PluginBroker["install"] = async (
    fileName,
    archive,
    { field = "plugin", isLocal = false, agent } = {},
  ) => {
    const form = new FormData();
    form.set(field, new File([archive as Uint8Array<ArrayBuffer>], fileName, { type: "application/x-gzip" }));
    const encoded = new Response(form);
    const headers = { "content-type": encoded.headers.get("content-type") ?? "" };
    const body = new Uint8Array(await encoded.arrayBuffer());
    return ask({ method: "POST", path: "/plugins/install", headers, body, isLocal, agent });
  };
  const url = `http://${http?.host}:${http?.port}`;
  return {
    embedded,
    accounts,
    addresses,
    folder,
    url,
    address: mqtt as Address,
    log,
    ask,
    install,
    stop: () => embedded.stop(),
  };
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly socketPath?: string;
  readonly agent?: Agent | undefined;
}

function send({ body, ...options }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(options, async (response) => {
      try {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode ?? 0,
          body: response.headers["content-type"]?.startsWith("application/json") ? JSON.parse(text) : text,
          headers: response.headers,
        });
      } catch (error) {
        reject(error);
      }
    });
    asked.on("error", reject);
    asked.end(body);
  });
}
