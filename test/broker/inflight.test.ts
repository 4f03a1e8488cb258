// Packet Identifiers, and what is sent again after a break.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delivery } from "../../src/broker/delivery.ts";
import { Inflight } from "../../src/broker/inflight.ts";

const delivery = {} as Delivery;

test("Packet Identifiers run from 1 to 65,535 and around, and pass over those in use", () => {
  const inflight = new Inflight({ inflight: 0 });
  const kept = [inflight.add(delivery), inflight.add(delivery)];
  assert.deepEqual(
    kept.map(({ packetId }) => packetId),
    [1, 2],
  );
  for (let expected = 3; expected <= 65_535; expected++) {
    const entry = inflight.add(delivery);
    assert.equal(entry.packetId, expected);
    inflight.remove(entry);
  }
  assert.equal(inflight.add(delivery).packetId, 3);
  assert.equal(inflight.active, 3);
});

test("after a break entries are sent again in their first order, and count only then", () => {
  const inflight = new Inflight({ inflight: 0 });
  const [first, second, third] = [inflight.add(delivery), inflight.add(delivery), inflight.add(delivery)];
  inflight.beginResend();
  assert.deepEqual([inflight.active, inflight.size], [0, 3]);
  assert.equal(inflight.peekResend(), first);
  inflight.resent(first);
  // The client acknowledges what it got before the break.
  inflight.remove(second);
  assert.equal(inflight.active, 1);
  assert.equal(inflight.peekResend(), third);
  inflight.resent(third);
  assert.equal(inflight.peekResend(), undefined);
  inflight.remove(first);
  inflight.remove(first);
  assert.deepEqual([inflight.active, inflight.size], [1, 1]);
});
