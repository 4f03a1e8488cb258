// A broker on a free port for one test, with hooks that the test scripts.

import type { TestContext } from "node:test";
import { Broker } from "../../src/broker/broker.ts";
import type { BrokerAddresses } from "../../src/broker/listeners.ts";
import type { BrokerOptions } from "../../src/broker/options.ts";
import type { ConnectPacket } from "../../src/mqtt/codec/packets.ts";
import type { ListenAddress } from "../../src/mqtt/listen.ts";
import type { Logger, LogMethod } from "../../src/mqtt/logger.ts";
import { RawClient } from "./raw-client.ts";
import { ScriptedHooks } from "./scripted-hooks.ts";

export interface LogEntry {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface BrokerFixture {
  readonly broker: Broker;
  readonly hooks: ScriptedHooks;
  readonly port: number;
  /** Where every listener listens. */
  readonly addresses: BrokerAddresses;
  readonly log: readonly LogEntry[];
  /** Connects a client; MQTT 5 with Clean Start unless told otherwise. */
  connect(clientId: string, options?: Partial<Omit<ConnectPacket, "type" | "clientId">>): Promise<RawClient>;
  /** Connects a client whose session stays when it goes. */
  connectPersistent(clientId: string, options?: Partial<Omit<ConnectPacket, "type" | "clientId">>): Promise<RawClient>;
}

export interface FixtureOptions extends Partial<BrokerOptions> {
  /** Run without any hooks. */
  readonly withoutHooks?: boolean;
  readonly databasePath?: string;
  /** What the hooks say is stored with a Packet Identifier. */
  readonly packetIds?: ScriptedHooks["packetIds"];
}

/** Starts a broker that is stopped after the test. */
export async function startBroker(t: TestContext, given: FixtureOptions = {}): Promise<BrokerFixture> {
  const { withoutHooks = false, databasePath, packetIds = [], ...options } = given;
  const log: LogEntry[] = [];
  const hooks = new ScriptedHooks();
  hooks.packetIds = [...packetIds];
  const broker = new Broker({ options: { port: 0, ...options }, databasePath, logger: loggerInto(log) });
  if (!withoutHooks) broker.attachHooks(hooks);
  const addresses = await broker.start();
  const { port } = addresses.mqtt as ListenAddress;
  const clients: RawClient[] = [];
  t.after(async () => {
    for (const client of clients) client.socket.destroy();
    await broker.stop();
  });
  const connect: BrokerFixture["connect"] = async (clientId, more = {}) => {
    const client = await RawClient.connect(port, { clientId, ...more });
    clients.push(client);
    return client;
  };
  const connectPersistent: BrokerFixture["connect"] = (clientId, more = {}) =>
    connect(clientId, {
      cleanStart: false,
      ...more,
      properties: (more.version ?? 5) < 5 ? undefined : { sessionExpiryInterval: 3600, ...more.properties },
    });
  return { broker, hooks, port, addresses, log, connect, connectPersistent };
}

export function loggerInto(log: LogEntry[]): Logger {
  const method =
    (level: LogEntry["level"]): LogMethod =>
    (fields, message) =>
      log.push({ level, fields, message });
  return { debug: method("debug"), info: method("info"), warn: method("warn"), error: method("error") };
}
