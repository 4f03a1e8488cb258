// What a scenario gets, and what it gives back.

import type { Tool, ToolLookup } from "../test/support/debian-tool.ts";
import type { BrokerProcess, BrokerProcessOptions } from "./broker-process.ts";
import type { Database } from "./database.ts";
import type { EmqxLoad } from "./emqx-load.ts";
import type { Address } from "./load/connection.ts";
import type { LoadGenerator } from "./load-generator.ts";
import type { ProcessWatch } from "./process-watch.ts";

export const PAYLOAD_BYTES = 128;

/** A process that speaks MQTT. */
export interface MeasuredBroker {
  readonly address: Address;
  readonly watch: ProcessWatch;
  /** Absent where there is none. */
  collectGarbage?(): void;
  stop(): Promise<unknown>;
}

/** What the scenarios share. */
export interface Bench {
  readonly load: LoadGenerator;
  /** How often each thing is measured; the medians count. */
  readonly rounds: number;
  /** How long a stretch is measured, in ms. */
  readonly duration: number;
  /** An empty directory for this run, removed at the end. */
  directory(): string;
  startBroker(options: Omit<BrokerProcessOptions, "profiles">): Promise<BrokerProcess>;
  /** The engine for EMQX, with an empty data directory. */
  startEngine(): Promise<MeasuredBroker>;
  /** Why there is no scripted EMQX; absent: there is. */
  readonly erlangMissing: string | undefined;
  /** A scripted EMQX whose plugin is connected to the engine and has this configuration. */
  startEmqx(engine: MeasuredBroker, configuration: Readonly<Record<string, unknown>>): Promise<EmqxLoad>;
  readonly redis: Database;
  readonly mariadb: Database;
  /** Debian's mosquitto, or in words why there is none. */
  findMosquitto(): Promise<ToolLookup>;
  startMosquitto(tool: Tool): Promise<MeasuredBroker>;
  /** What takes a broker's place to find the load generator's own limit. */
  startSink(): Promise<MeasuredBroker>;
}

/** One line of the table; texts are written as they are shown, and what is absent does not exist. */
export interface Row {
  readonly scenario: string;
  readonly figure: string;
  readonly measured?: string;
  /** Raw store. */
  readonly store?: string;
  /** Broker without the plugin. */
  readonly alone?: string;
  readonly mosquitto?: string;
  /** Compared with the limit that counts. */
  readonly ratio?: string;
  readonly reach?: string;
}

export interface Report {
  readonly rows: readonly Row[];
  /** What helps to understand the figures. */
  readonly notes: readonly string[];
}

export interface Scenario {
  readonly name: string;
  run(bench: Bench): Promise<Report>;
}
