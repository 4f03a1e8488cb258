// Leads a client of the library to the master that the sentinels name.

import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { AbstractConnector, type RedisOptions } from "ioredis";
import { DISCONNECT_TIMEOUT, retryDelay } from "./client-options.ts";
import type { RedisServer } from "./options.ts";
import type { Sentinels } from "./sentinels.ts";

/** For the library's option `Connector`; `found` is called with each master before it is connected to. */
export function sentinelConnector(
  sentinels: Sentinels,
  tls: RedisOptions["tls"],
  found: (master: RedisServer) => void,
): NonNullable<RedisOptions["Connector"]> {
  return class extends AbstractConnector {
    constructor() {
      super(DISCONNECT_TIMEOUT);
    }

    override async connect(report: (type: string, error: Error) => void) {
      this.connecting = true;
      for (let attempt = 1; ; attempt++) {
        const master = await sentinels.master().catch((error: Error) => {
          if (this.connecting) report("error", error);
        });
        if (master === undefined) await wait(retryDelay(attempt));
        // `disconnect` was called meanwhile.
        if (!this.connecting) throw new Error("Connection is closed.");
        if (master === undefined) continue;
        found(master);
        this.stream = tls === undefined ? connect(master) : connectTls({ ...master, ...tls });
        this.stream.once("error", (error) => {
          this.firstError = error;
        });
        return this.stream;
      }
    }
  };
}
