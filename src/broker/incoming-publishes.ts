// The QoS 2 publishes of a client that it has not released yet: kept in its session, so that none is taken twice.
//
// A Packet Identifier is held from the PUBLISH until PUBREL (or until the publish is refused), across connections
// [MQTT-4.3.3-10]. Their number is bounded by the 65,535 Packet Identifiers.

import type { Refusal } from "../plugin/hooks.ts";

/** The message was taken (undefined), or refused. */
export type PublishOutcome = Refusal | undefined;

export class IncomingPublish {
  /** The connection whose Receive Maximum it counts against; undefined once that is gone. */
  countedBy: object | undefined;
  /** The connection on which its PUBREC is still to be sent: one that comes again there needs no other. */
  awaitedBy: object | undefined;
  /** It was stored and routed; undefined while that is under way. */
  isTaken = false;
  #repeats: ((outcome: PublishOutcome) => void)[] = [];

  constructor(countedBy: object) {
    this.countedBy = countedBy;
    this.awaitedBy = countedBy;
  }

  /** The client has sent it again before it was settled: `answer` is called when it is. */
  whenSettled(answer: (outcome: PublishOutcome) => void): void {
    this.#repeats.push(answer);
  }

  settle(outcome: PublishOutcome): void {
    this.isTaken = outcome === undefined;
    const repeats = this.#repeats;
    this.#repeats = [];
    for (const answer of repeats) answer(outcome);
  }
}

export class IncomingPublishes {
  readonly #byPacketId = new Map<number, IncomingPublish>();

  get size(): number {
    return this.#byPacketId.size;
  }

  get(packetId: number): IncomingPublish | undefined {
    return this.#byPacketId.get(packetId);
  }

  begin(packetId: number, countedBy: object): IncomingPublish {
    const publish = new IncomingPublish(countedBy);
    this.#byPacketId.set(packetId, publish);
    return publish;
  }

  /** Frees the Packet Identifier; returns what it was used for. */
  release(packetId: number): IncomingPublish | undefined {
    const publish = this.#byPacketId.get(packetId);
    this.#byPacketId.delete(packetId);
    return publish;
  }
}
