// What clients have unacknowledged: remembered, numbered, bounded. And answers that are not confirmed, and sessions beyond the bound.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EarlyWordsMemory } from "../../src/emqx/early-words.ts";
import { Outstanding } from "../../src/emqx/outstanding.ts";
import { Unconfirmed } from "../../src/emqx/unconfirmed.ts";

const key = (id: string) => ({ id, topic: `t/${id}` });

test("at the bound those that went away first are forgotten, and with none left nothing more is noted", () => {
  const outstanding = new Outstanding(4);
  for (const id of ["1", "2"]) outstanding.add("first", key(id));
  outstanding.add("second", key("3"));
  outstanding.add("here", key("4"));
  outstanding.wentAway("second");
  outstanding.wentAway("first");
  outstanding.wentAway("second");
  assert.equal(outstanding.add("here", key("5")), true);
  assert.deepEqual(outstanding.of("first"), []);
  assert.deepEqual(outstanding.of("second"), [key("3")]);
  assert.equal(outstanding.add("here", key("6")), true);
  assert.equal(outstanding.add("here", key("7")), true);
  assert.deepEqual(outstanding.of("second"), []);
  assert.equal(outstanding.add("here", key("8")), false);
  assert.equal(outstanding.add("here", key("7")), true, "it is there");
  assert.equal(outstanding.size, 4);
  outstanding.remove("here", "4");
  assert.equal(outstanding.add("here", key("8")), true);
});

test("what was pushed live is found by its number", () => {
  const outstanding = new Outstanding();
  outstanding.add("c", key("replayed"));
  for (const number of [5, 6, 7]) outstanding.add("c", key(String(number)), number);
  assert.deepEqual(outstanding.numbered("c", 5, 6), [key("6")]);
  assert.deepEqual(outstanding.numbered("c", 0, 2 ** 64), [key("5"), key("6"), key("7")]);
  outstanding.forget("c");
  assert.equal(outstanding.size, 0);
});

test("what has been had for long is asked about, apart what others have overtaken", () => {
  let now = 0;
  const outstanding = new Outstanding(10, () => now);
  for (const [id, at] of Object.entries({ 1: 0, 2: 500, 3: 1500.5, 4: 1501 })) {
    now = at;
    outstanding.add("c", key(id));
  }
  now = 7000;
  assert.deepEqual(outstanding.unheard("c", 5500, 10), { passed: [], others: ["1", "2", "3"] });
  assert.deepEqual(outstanding.unheard("c", 5500, 2), { passed: [], others: ["1", "2"] });
  assert.deepEqual(outstanding.unheard("other", 5500, 2), { passed: [], others: [] });
  outstanding.remove("c", "4");
  assert.deepEqual(outstanding.unheard("c", 5500, 10).passed, [], "lost is not acknowledged");
  assert.equal(outstanding.acknowledge("c", "3"), true);
  assert.equal(outstanding.acknowledge("c", "3"), false);
  // The one at 500 was noted no more than a second before.
  assert.deepEqual(outstanding.unheard("c", 5500, 10), { passed: ["1"], others: ["2"] });
  assert.equal(outstanding.topic("c", "1"), "t/1");
  assert.equal(outstanding.topic("c", "3"), undefined);
});

test("answers are confirmed by their count, and the oldest are forgotten at the bound", () => {
  const unconfirmed = new Unconfirmed(3);
  unconfirmed.answered(key("1"));
  unconfirmed.answered();
  unconfirmed.answered(key("2"));
  unconfirmed.confirm(2);
  const ids = (): string[] => unconfirmed.all.map(({ key: { id } }) => id);
  assert.deepEqual(ids(), ["2"]);
  for (const id of ["3", "4", "5"]) unconfirmed.answered(key(id));
  assert.deepEqual(ids(), ["3", "4", "5"]);
  assert.throws(() => unconfirmed.confirm(7), /7 answers are handled of 6/);
});

test("words that come before their message are kept for it, and those of the oldest forgotten at the bound", () => {
  const memory = new EarlyWordsMemory(3);
  for (const clientId of ["c", "d", "d"]) memory.addNotPushed("1", clientId);
  memory.addNotPushed("2", "c");
  assert.deepEqual([...(memory.take("1")?.notPushed ?? [])], ["c", "d"]);
  assert.equal(memory.size, 1);
  // However many clients speak of one message.
  for (const clientId of ["a", "b", "c", "d", "e"]) memory.addNotPushed("3", clientId);
  assert.equal(memory.take("2"), undefined);
  assert.equal(memory.size, 2);
  for (let time = 0; time < 10; time += 1) memory.addLater("4", () => {});
  assert.equal(memory.size, 1);
  assert.equal(memory.take("3"), undefined);
  assert.equal(memory.take("4")?.later.length, 1);
  assert.equal(memory.size, 0);
});
