// The trie finds exactly what the plain matcher finds, and leaves nothing behind.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { topicMatches, validateTopicFilter } from "../../src/mqtt/topic.ts";
import { TopicFilterSet, TopicTrie } from "../../src/mqtt/topic-trie.ts";
import { type Random, seededRandom } from "./seed.ts";
import { MATCHES, NON_MATCHES } from "./topic-table.ts";

function matchesOf<Value>(trie: TopicTrie<Value>, topic: string): Value[] {
  const found: Value[] = [];
  trie.match(topic, (value) => found.push(value));
  return found;
}

test("each pair of the table, alone in a trie", () => {
  for (const [table, expected] of [
    [MATCHES, true],
    [NON_MATCHES, false],
  ] as const) {
    for (const [filter, topic] of table) {
      const trie = new TopicTrie<string>();
      trie.add(filter, filter);
      assert.deepEqual(matchesOf(trie, topic), expected ? [filter] : [], `${filter} and ${topic}`);
      assert.equal(new TopicFilterSet([filter]).matches(topic), expected, `${filter} and ${topic}`);
    }
  }
});

test("all filters of the table in one trie", () => {
  const filters = [...new Set([...MATCHES, ...NON_MATCHES].map(([filter]) => filter))];
  const trie = new TopicTrie<string>();
  for (const filter of filters) trie.add(filter, filter);
  for (const [, topic] of [...MATCHES, ...NON_MATCHES]) {
    assert.deepEqual(
      matchesOf(trie, topic).sort(),
      filters.filter((filter) => topicMatches(filter, topic)).sort(),
      topic,
    );
  }
});

test("a filter has many values, each once, and a value may have many filters", () => {
  const trie = new TopicTrie<string>();
  assert.equal(trie.add("a/+", "x"), true);
  assert.equal(trie.add("a/+", "x"), false);
  assert.equal(trie.add("a/+", "y"), true);
  assert.equal(trie.add("a/b", "x"), true);
  assert.equal(trie.add("a/b", "x"), false);
  assert.equal(trie.size, 3);
  assert.deepEqual(matchesOf(trie, "a/b").sort(), ["x", "x", "y"]);
  assert.equal(trie.delete("a/+", "z"), false);
  assert.equal(trie.delete("a/#", "x"), false);
  assert.equal(trie.delete("b/+", "x"), false);
  assert.equal(trie.delete("b", "x"), false);
  assert.equal(trie.delete("a/+", "x"), true);
  assert.deepEqual(matchesOf(trie, "a/b").sort(), ["x", "y"]);
  assert.equal(trie.size, 2);
});

test("a value that is deleted while it is visited is gone afterwards", () => {
  const trie = new TopicTrie<string>();
  for (const filter of ["a/b", "a/+", "#"]) trie.add(filter, filter);
  trie.match("a/b", (filter) => trie.delete(filter, filter));
  assert.equal(trie.size, 0);
  assert.deepEqual(matchesOf(trie, "a/b"), []);
});

test("names of Object.prototype are ordinary levels", () => {
  const trie = new TopicTrie<number>();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.deepEqual(matchesOf(trie, `${name}/x`), []);
    trie.add(`${name}/+`, 1);
    trie.add(name, 2);
    assert.deepEqual(matchesOf(trie, `${name}/x`), [1]);
    assert.deepEqual(matchesOf(trie, name), [2]);
    trie.delete(`${name}/+`, 1);
    trie.delete(name, 2);
  }
  assert.equal(trie.size, 0);
});

test("65,535 levels overflow no stack", () => {
  const deep = "/".repeat(65_534);
  const trie = new TopicTrie<string>();
  for (const filter of [`${deep}+`, `${deep.slice(1)}#`, `${deep}a`]) {
    assert.equal(validateTopicFilter(filter), undefined);
    trie.add(filter, filter);
  }
  assert.equal(matchesOf(trie, `${deep}a`).length, 3);
  assert.equal(matchesOf(trie, `${deep}b`).length, 2);
  for (const filter of [`${deep}+`, `${deep.slice(1)}#`, `${deep}a`]) assert.equal(trie.delete(filter, filter), true);
  assert.equal(trie.size, 0);
});

test("a filter that is gone takes no memory", () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const trie = new TopicTrie<number>();
  const churn = (count: number): void => {
    for (let at = 0; at < count; at++) {
      for (const filter of [`one${at}/two/+/three`, `+/${at}/#`]) {
        trie.add(filter, at);
        trie.delete(filter, at);
      }
    }
  };
  churn(1_000);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  churn(50_000);
  collectGarbage();
  const grownBytes = process.memoryUsage().heapUsed - before;
  assert.equal(trie.size, 0);
  assert.ok(grownBytes < 4_000_000, `the heap grew by ${grownBytes} bytes`);
});

/** Few names on few levels, so that matches are frequent. */
function randomTopic(random: Random): string {
  const levels = Array.from({ length: 1 + random.below(4) }, () => random.pick(["a", "b", "", "$s", "__proto__"]));
  const topic = levels.join("/");
  return topic === "" ? "a" : topic;
}

function randomFilter(random: Random): string {
  const levels = randomTopic(random)
    .split("/")
    .map((level) => (random.chance(0.3) ? "+" : level));
  if (random.chance(0.3)) levels.splice(1 + random.below(levels.length), levels.length, "#");
  if (random.chance(0.03)) return "#";
  return levels.join("/");
}

test("random filters: the trie finds what the plain matcher finds, while filters come and go", () => {
  const random = seededRandom("topic-trie");
  const trie = new TopicTrie<number>();
  let pairs: [filter: string, value: number][] = [];
  for (let round = 0; round < 3_000; round++) {
    const filter = randomFilter(random);
    assert.equal(validateTopicFilter(filter), undefined, filter);
    const value = random.below(3);
    const isThere = pairs.some(([one, other]) => one === filter && other === value);
    if (random.chance(pairs.length < 100 ? 0.7 : 0.3)) {
      assert.equal(trie.add(filter, value), !isThere);
      if (!isThere) pairs.push([filter, value]);
    } else {
      const [goneFilter, goneValue] = random.pick([...pairs, [filter, value] as [string, number]]);
      const wasThere = pairs.some(([one, other]) => one === goneFilter && other === goneValue);
      assert.equal(trie.delete(goneFilter, goneValue), wasThere);
      pairs = pairs.filter(([one, other]) => one !== goneFilter || other !== goneValue);
    }
    assert.equal(trie.size, pairs.length);
    const topic = randomTopic(random);
    const expected = pairs.filter(([one]) => topicMatches(one, topic)).map(([, one]) => one);
    assert.deepEqual(matchesOf(trie, topic).sort(), expected.sort(), topic);
  }
  for (const [filter, value] of pairs) trie.delete(filter, value);
  assert.equal(trie.size, 0);
  for (let round = 0; round < 100; round++) assert.deepEqual(matchesOf(trie, randomTopic(random)), []);
});

test("a set of few or many filters answers as the plain matcher does", () => {
  const random = seededRandom("topic-filter-set");
  for (let round = 0; round < 200; round++) {
    const filters = Array.from({ length: random.below(25) }, () => randomFilter(random));
    const set = new TopicFilterSet(filters);
    for (let look = 0; look < 20; look++) {
      const topic = randomTopic(random);
      const expected = filters.some((filter) => topicMatches(filter, topic));
      assert.equal(set.matches(topic), expected, `${filters.join(" ")} and ${topic}`);
    }
  }
});
