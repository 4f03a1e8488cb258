// A broker with the offline message plugin on SQLite and its API, for tests of clients.

import { builtInPlugin } from "../../../src/cli/built-in-plugin.ts";
import { connectClient, type TestClient } from "../../support/mqtt-client.ts";
import type { Scope } from "../../support/temporary-directory.ts";
import { waitFor } from "../../support/wait-for.ts";
import { type ApiClient, apiClient } from "../api-client.ts";
import { type PluginBroker, type PluginBrokerOptions, startPluginBroker } from "../plugins/plugin-broker.ts";

export interface ClientBroker extends PluginBroker {
  readonly api: ApiClient;
  /** Connects a client; MQTT 5, with a session that ends with the connection. */
  connect(clientId: string, options?: Parameters<typeof connectClient>[2]): Promise<TestClient>;
  /** Connects a client whose session stays when it goes. */
  connectPersistent(clientId: string, options?: Parameters<typeof connectClient>[2]): Promise<TestClient>;
  /** Leaves the session of a client that is away behind. */
  away(clientId: string, options?: Parameters<typeof connectClient>[2]): Promise<void>;
}

export async function startClientBroker(scope: Scope, options: PluginBrokerOptions = {}): Promise<ClientBroker> {
  const builtIn = builtInPlugin('sqlite { enable = true, topics = ["stored/#"] }\nmysql {}\nredis {}');
  const broker = await startPluginBroker(scope, { builtIn, ...options });
  const api = await apiClient(broker.url);
  const connect: ClientBroker["connect"] = (clientId, more = {}) =>
    connectClient(scope, broker.address, { clientId, ...more });
  const connectPersistent: ClientBroker["connect"] = (clientId, more = {}) => {
    const isV5 = (more.protocolVersion ?? 5) === 5;
    return connect(clientId, {
      clean: false,
      ...(isV5 ? { properties: { sessionExpiryInterval: 3600 } } : undefined),
      ...more,
    });
  };
  const away: ClientBroker["away"] = async (clientId, more) => {
    const client = await connectPersistent(clientId, more);
    await client.end();
    const isAway = async () => (await api.get(`/clients/${clientId}`)).body.connected === false;
    await waitFor(isAway, { what: `${clientId} to be away` });
  };
  return { ...broker, api, connect, connectPersistent, away };
}
