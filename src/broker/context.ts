// What the parts of one broker share.

import type { Logger } from "../mqtt/logger.ts";
import type { MessageIdGenerator } from "../mqtt/message-id.ts";
import type { RefusalDelays } from "../mqtt/refusal-delays.ts";
import type { RepeatedWarning } from "../mqtt/repeated-warning.ts";
import type { ClientEvents } from "./client-events.ts";
import type { HookRunner } from "./hook-runner.ts";
import type { Metrics } from "./metrics.ts";
import type { BrokerOptions } from "./options.ts";
import type { FlushScheduler } from "./outbound.ts";
import type { Persistence } from "./persistence/persistence.ts";
import type { RetainedMessages } from "./retained.ts";
import type { Router } from "./router.ts";
import type { SessionRegistry } from "./session-registry.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { SysTopics } from "./sys-topics.ts";
import type { Wills } from "./wills.ts";

export interface BrokerContext {
  readonly options: BrokerOptions;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly hooks: HookRunner;
  readonly ids: MessageIdGenerator;
  readonly router: Router;
  readonly retained: RetainedMessages;
  readonly sysTopics: SysTopics;
  readonly clientEvents: ClientEvents;
  readonly wills: Wills;
  readonly sessions: SessionRegistry;
  readonly subscriptions: Subscriptions;
  readonly persistence: Persistence;
  readonly refusalDelays: RefusalDelays;
  readonly willRefused: RepeatedWarning;
  /** A message that no plugin stores found a session's queue full. */
  readonly queueFull: RepeatedWarning;
  readonly flushes: FlushScheduler;
  /** Ms since the epoch. */
  now(): number;
}
