// What an administrator sees and does: in order, within its bounds, and saved before it is told.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { PublishRequest } from "../../src/broker/administrator-publishes.ts";
import { BrokerBusyError, BrokerDatabaseError, BrokerStateError } from "../../src/broker/errors.ts";
import { pageOf } from "../../src/broker/paged-walk.ts";
import { Turns } from "../../src/broker/turns.ts";
import { lockDatabase } from "../support/sqlite-lock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { startBroker } from "./broker-fixture.ts";
import { temporaryRefusal } from "./scripted-hooks.ts";

const MIB = 1024 * 1024;

const message = (payload: string, more: Partial<PublishRequest> = {}): PublishRequest => ({
  topic: "t",
  qos: 1,
  retain: false,
  payload: Buffer.from(payload),
  ...more,
});

const subscription = { topicFilter: "t", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

/** Counts the turns of the event loop until `stop`, which returns their number. */
function countTurns(): { stop(): number } {
  let turns = 0;
  let next: NodeJS.Immediate;
  const count = (): void => {
    turns += 1;
    next = setImmediate(count);
  };
  next = setImmediate(count);
  return {
    stop() {
      clearImmediate(next);
      return turns;
    },
  };
}

test("messages go through the hook and out in their order, each with its own outcome", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const subscriber = await connect("sub");
  await subscriber.subscribe("t");
  hooks.answer = ({ payload }) => (Buffer.from(payload).toString() === "2" ? "later" : "stored");
  const publishing = broker.publishes.publish(["1", "2", "3"].map((payload) => message(payload)));
  await hooks.waiting(1);
  assert.deepEqual(await subscriber.nextPayloads(1), ["1"]);
  assert.equal(broker.metrics.publishesWaiting, 2);
  hooks.settle("2", temporaryRefusal);
  const published = await publishing;
  assert.deepEqual(await subscriber.nextPayloads(1), ["3"]);
  assert.deepEqual(
    published.map(({ id }) => id),
    hooks.published.map(({ id }) => id),
  );
  assert.deepEqual(
    published.map(({ problem }) => problem?.reasonCode),
    [undefined, 0x83, undefined],
  );
  assert.deepEqual(
    hooks.published.map(({ from }) => from),
    ["http_api", "http_api", "http_api"],
  );
  assert.deepEqual([broker.metrics.publishesRefused, broker.metrics.willsRefused], [1, 0]);
});

test("many messages let others have their turn, and ids rise in the order of publishing", async (t) => {
  const { broker, hooks, connect } = await startBroker(t);
  const publisher = await connect("pub");
  const turns = countTurns();
  const publishing = broker.publishes.publish(Array.from({ length: 500 }, (_, at) => message(String(at))));
  await publisher.publishAcked("t", "between");
  await publishing;
  assert.ok(turns.stop() >= 9, "500 messages take ten turns");
  const ids = hooks.published.map(({ id }) => id);
  assert.equal(ids.length, 501);
  assert.deepEqual(ids, ids.toSorted());
});

test("only so many bytes wait for the hook: what comes beyond is refused, and there is room again", async (t) => {
  const { broker, hooks } = await startBroker(t);
  const bytes = (mebibytes: number) => message("", { qos: 0, payload: Buffer.alloc(mebibytes * MIB) });
  hooks.answer = () => "later";
  // QoS 0 waits behind what is being stored.
  const waiting = broker.publishes.publish([message("waits"), bytes(20)]);
  await hooks.waiting(1);
  const [refused] = await broker.publishes.publish([bytes(13)]);
  assert.deepEqual([refused?.problem?.reasonCode, refused?.problem?.isTemporary], [0x97, true]);
  const small = broker.publishes.publish([message("small")]);
  await hooks.waiting(2);
  for (const payload of ["small", "waits"]) hooks.settle(payload);
  for (const one of [...(await waiting).slice(0, 1), ...(await small)]) assert.equal(one.problem, undefined);
  const [nobody] = await broker.publishes.publish([bytes(40)]);
  assert.equal(nobody?.problem?.reasonCode, 0x10, "taken where nothing else waits");
});

test("what is not saved is told neither as taken nor as made", async (t) => {
  const databasePath = join(temporaryDirectory(t), "broker.db");
  const { broker, connectPersistent } = await startBroker(t, { databasePath, withoutHooks: true, saveTimeout: 4 });
  const client = await connectPersistent("c");
  await client.disconnect();
  await waitFor(() => broker.clients.get("c")?.isConnected === false, { what: "the client to be away" });
  assert.deepEqual(await broker.clients.subscribe("c", [subscription]), [{ request: subscription }]);
  assert.equal((await broker.publishes.publish([message("1")]))[0]?.problem, undefined);
  const lock = lockDatabase(databasePath);
  t.after(() => lock.close());
  assert.equal((await broker.publishes.publish([message("3", { topic: "nobody" })]))[0]?.problem?.reasonCode, 0x10);
  const other = { ...subscription, topicFilter: "other" };
  // All at once: each waits as long as the disk may take.
  const [[published], ...changes] = await Promise.all([
    broker.publishes.publish([message("2")]),
    assert.rejects(broker.clients.subscribe("c", [other]), BrokerDatabaseError),
    assert.rejects(broker.clients.unsubscribe("c", ["t"]), BrokerDatabaseError),
    assert.rejects(broker.clients.kick(["c"]), BrokerDatabaseError),
  ]);
  assert.equal(changes.length, 3);
  assert.deepEqual([published?.problem?.reasonCode, published?.problem?.isTemporary], [0x83, true]);
  lock.exec("ROLLBACK");
  await connectPersistent("d");
  assert.equal(await broker.clients.kick(["c", "d"]), 1);
});

test("a broker that stops takes no publish and no change", async (t) => {
  const { broker, hooks, connectPersistent } = await startBroker(t);
  await connectPersistent("c");
  await broker.stop();
  const [refused] = await broker.publishes.publish([message("1")]);
  assert.deepEqual([refused?.problem?.reasonCode, refused?.problem?.isTemporary], [0x8b, true]);
  assert.deepEqual(hooks.published, []);
  await assert.rejects(broker.clients.kick(["c"]), BrokerStateError);
  await assert.rejects(broker.clients.subscribe("c", [subscription]), BrokerStateError);
  await assert.rejects(broker.clients.unsubscribe("c", ["t"]), BrokerStateError);
  assert.equal(broker.clients.get("c")?.clientId, "c");
});

test("a walk through very many lets others have their turn, and sees what changes meanwhile", async () => {
  const all = new Map(Array.from({ length: 100_000 }, (_, number) => [number, number]));
  const work = new Turns();
  const turns = countTurns();
  const walk = work.work((next) =>
    pageOf(all.values(), { page: 2, limit: 3 }, next, (number) => number % 10_000 === 0),
  );
  for (let number = 50_000; number < 100_000; number++) all.delete(number);
  const page = await walk;
  assert.ok(turns.stop() >= 40, "50,000 steps take fifty turns");
  assert.deepEqual(page, { items: [30_000, 40_000], count: 5, hasNext: false });
  const unfiltered = await pageOf(
    all.values(),
    { page: 1, limit: 2 },
    () => work.next(),
    () => true,
    all.size,
  );
  assert.deepEqual(unfiltered, { items: [0, 1], count: 50_000, hasNext: true });
});

test("works of many administrators share the turns, and more than a hundred are not begun", async (t) => {
  const { broker } = await startBroker(t);
  const turns = countTurns();
  const works = Array.from({ length: 100 }, () => broker.clients.sessions({ page: 1, limit: 1 }, undefined));
  await assert.rejects(broker.clients.kick(["c"]), BrokerBusyError);
  await assert.rejects(broker.clients.sessions({ page: 1, limit: 1 }, undefined), BrokerBusyError);
  await Promise.all(works);
  assert.ok(turns.stop() >= 99, "each has a turn of its own");
  assert.equal(await broker.clients.kick(["c"]), 0);
});
