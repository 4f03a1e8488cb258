// Which sessions, connected or not, hold which shared subscription: what is owed to a group is owed as long as one does.

export class SharedSessions {
  readonly #byFilter = new Map<string, Set<string>>();
  readonly #byClient = new Map<string, Set<string>>();

  add(topicFilter: string, clientId: string): void {
    addTo(this.#byFilter, topicFilter, clientId);
    addTo(this.#byClient, clientId, topicFilter);
  }

  /** Returns whether nobody holds the shared subscription any more. */
  delete(topicFilter: string, clientId: string): boolean {
    deleteFrom(this.#byClient, clientId, topicFilter);
    return deleteFrom(this.#byFilter, topicFilter, clientId);
  }

  /** The session is gone for good. Returns the shared subscriptions that nobody holds any more. */
  deleteSession(clientId: string): string[] {
    const held = [...(this.#byClient.get(clientId) ?? [])];
    return held.filter((topicFilter) => this.delete(topicFilter, clientId));
  }
}

function addTo(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

/** Returns whether the set is empty with it, and gone. */
function deleteFrom(sets: Map<string, Set<string>>, key: string, value: string): boolean {
  const set = sets.get(key);
  if (!set?.delete(value) || set.size > 0) return false;
  return sets.delete(key);
}
