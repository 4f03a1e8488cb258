// Topic Names and Topic Filters: what is valid, and which filter matches which name (MQTT 5, 4.7 and 4.8.2).

import { CodedError } from "./coded-error.ts";

/** The most that MQTT's two-byte length can tell [MQTT-4.7.3-3]. */
export const MAX_TOPIC_BYTES = 65_535;

const SHARE_PREFIX = "$share/";
/** How topics of the server's own begin. */
export const SYS_PREFIX = "$SYS/";

/** No character takes more bytes in UTF-8 than three for each UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3;

const NUL = 0x00;
const HASH = 0x23;
const DOLLAR = 0x24;
const PLUS = 0x2b;
const SLASH = 0x2f;
const FIRST_NON_ASCII = 0x80;

/** A Topic Name that nobody can publish to. */
export class TopicNameError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("TOPIC_NAME_INVALID", message, options);
  }
}

/** A Topic Filter that nobody can subscribe to. */
export class TopicFilterError extends CodedError {
  constructor(message: string, options?: ErrorOptions) {
    super("TOPIC_FILTER_INVALID", message, options);
  }
}

/** What is wrong with a Topic Name; undefined when it is valid [MQTT-4.7.3-1, -2, -3, MQTT-4.7.1-1]. */
export function validateTopicName(topic: string): TopicNameError | undefined {
  const problem = textProblem(topic, "topic");
  if (problem !== undefined) return new TopicNameError(problem);
  for (let at = 0; at < topic.length; at++) {
    const unit = topic.charCodeAt(at);
    if (unit === PLUS || unit === HASH) {
      return new TopicNameError(`The topic ${quote(topic)} contains a wildcard: publish to a topic without + and #.`);
    }
  }
  return undefined;
}

/**
 * What is wrong with a Topic Filter, `$share/{ShareName}/{filter}` included; undefined when it is valid
 * [MQTT-4.7.1-1, -2, MQTT-4.8.2-1, -2].
 */
export function validateTopicFilter(topicFilter: string): TopicFilterError | undefined {
  const problem = textProblem(topicFilter, "topic filter");
  if (problem !== undefined) return new TopicFilterError(problem);
  let start = 0;
  if (topicFilter.startsWith(SHARE_PREFIX)) {
    const nameEnd = topicFilter.indexOf("/", SHARE_PREFIX.length);
    const name = topicFilter.slice(SHARE_PREFIX.length, nameEnd === -1 ? undefined : nameEnd);
    if (name === "" || name.includes("+") || name.includes("#")) {
      return new TopicFilterError(`The topic filter ${quote(topicFilter)} needs a share name without + and #.`);
    }
    if (nameEnd === -1 || nameEnd + 1 === topicFilter.length) {
      return new TopicFilterError(`The topic filter ${quote(topicFilter)} needs a filter after the share name.`);
    }
    start = nameEnd + 1;
  }
  for (let at = start; at < topicFilter.length; at++) {
    const unit = topicFilter.charCodeAt(at);
    if (unit !== PLUS && unit !== HASH) continue;
    const startsLevel = at === start || topicFilter.charCodeAt(at - 1) === SLASH;
    const isLast = at === topicFilter.length - 1;
    if (unit === HASH && !(startsLevel && isLast)) {
      return new TopicFilterError(`In the topic filter ${quote(topicFilter)}, # must be the whole of the last level.`);
    }
    if (unit === PLUS && !(startsLevel && (isLast || topicFilter.charCodeAt(at + 1) === SLASH))) {
      return new TopicFilterError(`In the topic filter ${quote(topicFilter)}, + must be the whole of a level.`);
    }
  }
  return undefined;
}

export interface ParsedTopicFilter {
  /** Of a shared subscription. */
  readonly shareName?: string;
  /** What topics are matched against. */
  readonly filter: string;
}

/** Takes a valid Topic Filter apart: `$share/{ShareName}/{filter}`, or the filter alone. */
export function parseTopicFilter(topicFilter: string): ParsedTopicFilter {
  if (!topicFilter.startsWith(SHARE_PREFIX)) return { filter: topicFilter };
  const nameEnd = topicFilter.indexOf("/", SHARE_PREFIX.length);
  return { shareName: topicFilter.slice(SHARE_PREFIX.length, nameEnd), filter: topicFilter.slice(nameEnd + 1) };
}

export function hasWildcard(filter: string): boolean {
  return filter.includes("+") || filter.includes("#");
}

/** How many levels a topic or filter has: one more than its separators. */
export function countLevels(topic: string): number {
  let levels = 1;
  for (let at = 0; at < topic.length; at++) if (topic.charCodeAt(at) === SLASH) levels++;
  return levels;
}

/**
 * Whether a valid filter (without `$share`) matches a valid Topic Name. Names that begin with `$` are not matched by a
 * filter that begins with a wildcard [MQTT-4.7.2-1]; `a/#` matches `a` too (4.7.1.2).
 */
export function topicMatches(filter: string, topic: string): boolean {
  let inFilter = 0;
  let inTopic = 0;
  if (topic.charCodeAt(0) === DOLLAR && filter.charCodeAt(0) !== DOLLAR) return false;
  // Each turn compares one level; both positions are at the level's start.
  for (;;) {
    const first = filter.charCodeAt(inFilter);
    if (first === HASH) return true;
    if (first === PLUS) {
      inFilter += 1;
      const levelEnd = topic.indexOf("/", inTopic);
      inTopic = levelEnd === -1 ? topic.length : levelEnd;
    } else {
      while (inFilter < filter.length && filter.charCodeAt(inFilter) !== SLASH) {
        if (filter.charCodeAt(inFilter) !== topic.charCodeAt(inTopic)) return false;
        inFilter += 1;
        inTopic += 1;
      }
      if (inTopic < topic.length && topic.charCodeAt(inTopic) !== SLASH) return false;
    }
    if (inFilter === filter.length) return inTopic === topic.length;
    inFilter += 1;
    if (inTopic === topic.length) return filter.charCodeAt(inFilter) === HASH;
    inTopic += 1;
  }
}

/** What is wrong with a text as UTF-8 Encoded String of 1 to 65,535 bytes (1.5.4). */
function textProblem(text: string, noun: string): string | undefined {
  if (text === "") return `An empty ${noun} is not allowed: give at least one character.`;
  let isAscii = true;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === NUL) return `The ${noun} ${quote(text)} contains the character U+0000.`;
    if (unit >= FIRST_NON_ASCII) isAscii = false;
  }
  if (!isAscii && !text.isWellFormed()) return `The ${noun} ${quote(text)} cannot be written in UTF-8.`;
  if (text.length * MAX_BYTES_PER_UNIT > MAX_TOPIC_BYTES && Buffer.byteLength(text) > MAX_TOPIC_BYTES) {
    return `The ${noun} ${quote(text)} takes more than ${MAX_TOPIC_BYTES} bytes.`;
  }
  return undefined;
}

function quote(text: string): string {
  return text.length <= 80 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 80))}…`;
}
