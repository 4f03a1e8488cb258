// Topic Names and Filters: validity and matching, by the examples of the standard and its rules.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countLevels,
  hasWildcard,
  parseTopicFilter,
  topicMatches,
  validateTopicFilter,
  validateTopicName,
} from "../../src/mqtt/topic.ts";
import { MATCHES, NON_MATCHES } from "./topic-table.ts";

for (const [filter, topic] of MATCHES) {
  test(`${filter} matches ${topic}`, () => assert.equal(topicMatches(filter, topic), true));
}
for (const [filter, topic] of NON_MATCHES) {
  test(`${filter} does not match ${topic}`, () => assert.equal(topicMatches(filter, topic), false));
}

for (const topic of [
  "a",
  "/",
  "//",
  " ",
  "a b/c",
  "$SYS/x",
  "$share/g/t",
  "é/漢/𝄞",
  "t".repeat(65_535),
  "é".repeat(32_767),
]) {
  test(`the topic ${topic.slice(0, 20)} (${topic.length}) is valid`, () => {
    assert.equal(validateTopicName(topic), undefined);
    assert.equal(validateTopicFilter(topic), undefined);
  });
}

for (const topic of ["", "a\0b", "\0", "t".repeat(65_536), "é".repeat(32_768), "\ud800", "a/\udc00b"]) {
  test(`${JSON.stringify(topic.slice(0, 20))} (${topic.length}) is neither topic nor filter`, () => {
    assert.equal(validateTopicName(topic)?.code, "TOPIC_NAME_INVALID");
    assert.equal(validateTopicFilter(topic)?.code, "TOPIC_FILTER_INVALID");
  });
}

for (const topic of ["#", "+", "a/+", "a/#", "a+", "#a", "a/+/b"]) {
  test(`nobody can publish to ${topic}`, () => assert.equal(validateTopicName(topic)?.code, "TOPIC_NAME_INVALID"));
}

for (const filter of [
  "#",
  "+",
  "/#",
  "/+",
  "+/",
  "+/+",
  "+/#",
  "a/#",
  "a/+/b",
  "$SYS/#",
  "$share",
  "$shared/x",
  "a/$share/b",
]) {
  test(`the filter ${filter} is valid`, () => assert.equal(validateTopicFilter(filter), undefined));
}
for (const filter of ["$share/g/t", "$share/g/#", "$share/g/+/x", "$share/g//", "$share/g/$SYS/x", "$share/é/t"]) {
  test(`the shared filter ${filter} is valid`, () => assert.equal(validateTopicFilter(filter), undefined));
}

for (const filter of ["a#", "#/a", "a/#/b", "##", "#/", "a/b#", "+a", "a+", "a/+b/c", "++", "a/b+/c", "+#"]) {
  test(`the filter ${filter} has a misplaced wildcard`, () => {
    assert.equal(validateTopicFilter(filter)?.code, "TOPIC_FILTER_INVALID");
    assert.equal(validateTopicFilter(`$share/g/${filter}`)?.code, "TOPIC_FILTER_INVALID");
  });
}
for (const filter of [
  "$share/",
  "$share/g",
  "$share/g/",
  "$share//t",
  "$share///",
  "$share/+/t",
  "$share/g#/t",
  "$share/#",
]) {
  test(`the shared filter ${filter} is refused`, () => {
    assert.equal(validateTopicFilter(filter)?.code, "TOPIC_FILTER_INVALID");
  });
}

test("a filter is taken apart into share name and filter", () => {
  assert.deepEqual(parseTopicFilter("a/+/#"), { filter: "a/+/#" });
  assert.deepEqual(parseTopicFilter("$share/g/a/b"), { shareName: "g", filter: "a/b" });
  assert.deepEqual(parseTopicFilter("$share/g//"), { shareName: "g", filter: "/" });
  assert.deepEqual(parseTopicFilter("$shared/g/a"), { filter: "$shared/g/a" });
});

test("wildcards and levels are told", () => {
  assert.deepEqual(["a", "a/+", "#", "$x/y"].map(hasWildcard), [false, true, true, false]);
  assert.deepEqual(["a", "/", "a/b", "a//b/"].map(countLevels), [1, 2, 2, 4]);
});

test("topics of 65,535 levels are matched", () => {
  const topic = "/".repeat(65_535);
  assert.equal(validateTopicName(topic), undefined);
  assert.equal(topicMatches("#", topic), true);
  assert.equal(topicMatches(topic, topic), true);
  assert.equal(topicMatches(`${"/".repeat(65_534)}+`, topic), false);
  assert.equal(topicMatches(`${"/".repeat(65_533)}+/#`, topic), true);
});

test("an error shows the start of a long topic only", () => {
  assert.ok((validateTopicName("t".repeat(70_000))?.message.length ?? 0) < 200);
});
