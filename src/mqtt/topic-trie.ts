// Finds what belongs to the Topic Filters that match a topic, in a time that grows with the matches and not the filters.
//
// Filters without wildcards are looked up by their whole text. The others form a tree with one node for each level; a
// search walks it level by level with the list of nodes reached so far, so that no topic is too deep for the stack.

import { hasWildcard, topicMatches } from "./topic.ts";

class TrieNode<Value> {
  /** Next levels by their text. */
  children: Map<string, TrieNode<Value>> | undefined = undefined;
  /** The next level is `+`. */
  plus: TrieNode<Value> | undefined = undefined;
  /** Of filters that end here. */
  values: Set<Value> | undefined = undefined;
  /** Of filters that end with `#` as the next level. */
  hashValues: Set<Value> | undefined = undefined;

  isEmpty(): boolean {
    return (
      this.children === undefined &&
      this.plus === undefined &&
      this.values === undefined &&
      this.hashValues === undefined
    );
  }
}

/** Values by valid Topic Filters (without `$share`). One filter may have many values, each once. */
export class TopicTrie<Value> {
  readonly #exact = new Map<string, Set<Value>>();
  #root = new TrieNode<Value>();
  #size = 0;
  #filters = 0;

  /** How many filters have values. */
  get filters(): number {
    return this.#filters;
  }

  /** How many pairs of filter and value there are. */
  get size(): number {
    return this.#size;
  }

  /** All filters that have values, each once; those without wildcards first. */
  *allFilters(): Generator<string> {
    yield* this.#exact.keys();
    const reached: [node: TrieNode<Value>, filter: string][] = [[this.#root, ""]];
    for (let last = reached.pop(); last !== undefined; last = reached.pop()) {
      const [node, filter] = last;
      const prefix = node === this.#root ? "" : `${filter}/`;
      if (node.values !== undefined) yield filter;
      if (node.hashValues !== undefined) yield `${prefix}#`;
      if (node.plus !== undefined) reached.push([node.plus, `${prefix}+`]);
      for (const [level, child] of node.children ?? []) reached.push([child, prefix + level]);
    }
  }

  /** Returns whether the pair is new. */
  add(filter: string, value: Value): boolean {
    let values: Set<Value> | undefined;
    if (!hasWildcard(filter)) {
      values = this.#exact.get(filter);
      if (values === undefined) {
        values = new Set();
        this.#exact.set(filter, values);
      }
    } else {
      values = this.#wildcardValues(filter);
    }
    if (values.has(value)) return false;
    values.add(value);
    if (values.size === 1) this.#filters += 1;
    this.#size += 1;
    return true;
  }

  /** Returns whether the pair was there. */
  delete(filter: string, value: Value): boolean {
    let deleted = false;
    if (hasWildcard(filter)) {
      deleted = this.#deleteWildcard(filter, value);
    } else {
      const values = this.#exact.get(filter);
      deleted = values?.delete(value) ?? false;
      if (values?.size === 0) {
        this.#exact.delete(filter);
        this.#filters -= 1;
      }
    }
    if (deleted) this.#size -= 1;
    return deleted;
  }

  /**
   * Calls `visit` for each value of each filter that matches the topic; a value under several such filters is visited
   * for each. The filter of a value is not passed on: keep it in the value.
   */
  match(topic: string, visit: (value: Value) => void): void {
    const exact = this.#exact.get(topic);
    if (exact !== undefined) for (const value of exact) visit(value);
    if (!this.#root.isEmpty()) this.#matchWildcards(topic, visit);
  }

  #matchWildcards(topic: string, visit: (value: Value) => void): void {
    // [MQTT-4.7.2-1]: a wildcard at the start does not match a topic that begins with $.
    const wildcardsFirst = !topic.startsWith("$");
    let reached: TrieNode<Value>[] = [this.#root];
    let start = 0;
    while (start <= topic.length) {
      const slash = topic.indexOf("/", start);
      const end = slash === -1 ? topic.length : slash;
      let level: string | undefined;
      const next: TrieNode<Value>[] = [];
      for (const node of reached) {
        if (start > 0 || wildcardsFirst) {
          if (node.hashValues !== undefined) for (const value of node.hashValues) visit(value);
          if (node.plus !== undefined) next.push(node.plus);
        }
        if (node.children !== undefined) {
          level ??= topic.slice(start, end);
          const child = node.children.get(level);
          if (child !== undefined) next.push(child);
        }
      }
      if (next.length === 0) return;
      reached = next;
      start = end + 1;
    }
    for (const node of reached) {
      if (node.values !== undefined) for (const value of node.values) visit(value);
      if (node.hashValues !== undefined) for (const value of node.hashValues) visit(value);
    }
  }

  #wildcardValues(filter: string): Set<Value> {
    let node = this.#root;
    for (const level of filter.split("/")) {
      if (level === "#") {
        node.hashValues ??= new Set();
        return node.hashValues;
      }
      let child = level === "+" ? node.plus : node.children?.get(level);
      if (child === undefined) {
        child = new TrieNode<Value>();
        if (level === "+") {
          node.plus = child;
        } else {
          node.children ??= new Map();
          node.children.set(level, child);
        }
      }
      node = child;
    }
    node.values ??= new Set();
    return node.values;
  }

  #deleteWildcard(filter: string, value: Value): boolean {
    const levels = filter.split("/");
    const endsWithHash = levels.at(-1) === "#";
    if (endsWithHash) levels.pop();
    const path = [this.#root];
    for (const level of levels) {
      const node = path.at(-1) as TrieNode<Value>;
      const child = level === "+" ? node.plus : node.children?.get(level);
      if (child === undefined) return false;
      path.push(child);
    }
    const last = path.at(-1) as TrieNode<Value>;
    const values = endsWithHash ? last.hashValues : last.values;
    if (values === undefined || !values.delete(value)) return false;
    if (values.size > 0) return true;
    this.#filters -= 1;
    if (endsWithHash) last.hashValues = undefined;
    else last.values = undefined;

    for (let depth = levels.length; depth > 0 && path[depth]?.isEmpty(); depth--) {
      const parent = path[depth - 1] as TrieNode<Value>;
      const level = levels[depth - 1] as string;
      if (level === "+") {
        parent.plus = undefined;
      } else {
        parent.children?.delete(level);
        if (parent.children?.size === 0) parent.children = undefined;
      }
    }
    return true;
  }
}

/** Up to this many filters with wildcards are tried one after the other, which is faster than walking a tree. */
const FEW_FILTERS = 8;

/** Answers whether a topic matches any of a fixed list of valid Topic Filters (without `$share`). */
export class TopicFilterSet {
  readonly #exact: ReadonlySet<string>;
  readonly #few: readonly string[] | undefined;
  readonly #trie = new TopicTrie<true>();

  constructor(filters: Iterable<string>) {
    const distinct = [...new Set(filters)];
    this.#exact = new Set(distinct.filter((filter) => !hasWildcard(filter)));
    const wildcards = distinct.filter(hasWildcard);
    this.#few = wildcards.length <= FEW_FILTERS ? wildcards : undefined;
    if (this.#few === undefined) for (const filter of wildcards) this.#trie.add(filter, true);
  }

  matches(topic: string): boolean {
    if (this.#exact.has(topic)) return true;
    if (this.#few !== undefined) {
      for (const filter of this.#few) if (topicMatches(filter, topic)) return true;
      return false;
    }
    let found = false;
    this.#trie.match(topic, () => {
      found = true;
    });
    return found;
  }
}
