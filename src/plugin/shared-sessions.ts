// Which sessions, connected or not, hold which shared subscription: what is owed to a group is owed as long as one does.

export class SharedSessions {
  readonly #byFilter = new Map<string, Set<string>>();

  add(topicFilter: string, clientId: string): void {
    const sessions = this.#byFilter.get(topicFilter);
    if (sessions === undefined) this.#byFilter.set(topicFilter, new Set([clientId]));
    else sessions.add(clientId);
  }

  /** Returns whether nobody holds the shared subscription any more. */
  delete(topicFilter: string, clientId: string): boolean {
    const sessions = this.#byFilter.get(topicFilter);
    if (!sessions?.delete(clientId) || sessions.size > 0) return false;
    this.#byFilter.delete(topicFilter);
    return true;
  }

  /** The session is gone for good. Returns the shared subscriptions that nobody holds any more. */
  deleteSession(clientId: string): string[] {
    return [...this.#byFilter.keys()].filter((topicFilter) => this.delete(topicFilter, clientId));
  }
}
