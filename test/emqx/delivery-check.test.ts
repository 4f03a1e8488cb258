// Messages that get lost in EMQX on their way to a session, although the engine counts them as pushed: asked about, and sent again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DeliveryCheck } from "../../src/emqx/delivery-check.ts";
import type { EngineFrame } from "../../src/emqx/engine-frames.ts";
import type { Link } from "../../src/emqx/link.ts";
import type { LinkConnection } from "../../src/emqx/link-connection.ts";
import { type ConnectedFrame, NodeOpcode } from "../../src/emqx/node-frames.ts";
import { Outstanding } from "../../src/emqx/outstanding.ts";
import { LinkSession, Sessions } from "../../src/emqx/sessions.ts";
import { waitFor } from "../support/wait-for.ts";
import { startLinkedPlugin } from "./linked-plugin.ts";

/** In ms. */
const INTERVAL = 20;

test("a message whose dispatch reaches no process comes from the store", async (t) => {
  let isLosing = false;
  const later = (key: string, run: () => void): void => {
    // The first of a publisher's is its going on, those behind are what it sends to others.
    if (!isLosing || key !== "lost") run();
  };
  const { node, store, emqx, settle } = await startLinkedPlugin(t, { checkInterval: INTERVAL, node: { later } });
  const client = node.connect("c");
  node.subscribe("c", "t");
  await settle();
  isLosing = true;
  // It is stored and counted as pushed, and its publisher ends before it has sent it on.
  void node.publish("t", "1", { from: "lost" });
  await waitFor(() => client.received.length === 1, { what: "the message" });
  assert.equal(client.received[0]?.replayed, true);
  node.ack("c");
  await settle();
  assert.equal(emqx.outstanding.size, 0);
  assert.deepEqual(store.messages, []);
});

test("what a session has is not sent again, however long its client takes", async (t) => {
  const { node, emqx, settle } = await startLinkedPlugin(t, { checkInterval: INTERVAL });
  const client = node.connect("c", { receiveMaximum: 2 });
  node.subscribe("c", "t");
  await settle();
  for (const payload of ["1", "2", "3"]) await node.publish("t", payload);
  const asked = node.checks;
  await waitFor(() => node.checks >= asked + 3, { what: "three rounds" });
  assert.deepEqual(client.payloads, ["1", "2"]);
  assert.equal(emqx.outstanding.size, 3, "one is in the queue");
  node.ack("c", 2);
  node.ack("c", 1);
  await settle();
  assert.deepEqual(client.payloads, ["1", "2", "3"]);
  assert.equal(emqx.outstanding.size, 0);
});

test("a session that is not connected, and ids that it does not count as having, lose nothing", async (t) => {
  const { node, emqx, settle } = await startLinkedPlugin(t);
  const client = node.connect("c", { cleanStart: false, endsWithConnection: false });
  node.subscribe("c", "t");
  await settle();
  await node.publish("t", "1");
  const ids = [client.received[0]?.id ?? ""];
  node.disconnect("c");
  node.sendRaw("c", { opcode: NodeOpcode.Lost, session: client.session, ids });
  node.sendRaw("c", { opcode: NodeOpcode.Lost, session: 4711, ids });
  await settle();
  assert.equal(emqx.outstanding.size, 1);
  node.connect("c", { cleanStart: false, endsWithConnection: false });
  node.sendRaw("c", { opcode: NodeOpcode.Lost, session: client.session, ids: ["00".repeat(16)] });
  await settle();
  assert.deepEqual(client.payloads, ["1"], "sent again by its session, and by nobody else");
});

test("one round at a time, some sessions in each turn, at most so many messages of each", async (t) => {
  const sent: EngineFrame[] = [];
  let inThisTurn = 0;
  let mostInOneTurn = 0;
  const send = (frame: EngineFrame): void => {
    sent.push(frame);
    inThisTurn += 1;
    mostInOneTurn = Math.max(mostInOneTurn, inThisTurn);
    if (inThisTurn === 1) setImmediate(() => (inThisTurn = 0));
  };
  const connection = { hasRoom: true, send } as unknown as LinkConnection;
  const sessions = new Sessions();
  const outstanding = new Outstanding();
  const link = {} as Link;
  const count = 1200;
  for (let number = 1; number <= count; number += 1) {
    const session = new LinkSession(link, connection, { session: number } as ConnectedFrame, String(number));
    sessions.add(session);
    sessions.take(session);
    outstanding.add(session.clientId, { id: "1", topic: "t" });
  }
  for (let id = 2; id <= 1500; id += 1) outstanding.add("1", { id: String(id), topic: "t" });
  const check = new DeliveryCheck({ sessions, outstanding, interval: INTERVAL });
  t.after(() => check.stop());
  await waitFor(() => sent.length >= count, { what: "the round" });
  assert.equal(mostInOneTurn, 500);
  const [first] = sent;
  assert.equal(first !== undefined && "ids" in first && first.ids.length, 1024);
});
