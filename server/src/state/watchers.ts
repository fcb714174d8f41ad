/** Listeners by what they want to be told of. Nothing is queued: a listener is told that something may be there, never what. */
export class Watchers {
  readonly #byTopic = new Map<string, Set<() => void>>();

  get isEmpty(): boolean {
    return this.#byTopic.size === 0;
  }

  /** Has a listener told of a topic. The function returned takes it back. */
  watch(topic: string, listener: () => void): () => void {
    const listeners = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#byTopic.get(topic) === listeners) this.#byTopic.delete(topic);
    };
  }

  tell(topic: string): void {
    for (const listener of [...(this.#byTopic.get(topic) ?? [])]) listener();
  }

  tellAll(): void {
    this.tellWhere(() => true);
  }

  /** Tells those whose topic is concerned. */
  tellWhere(isConcerned: (topic: string) => boolean): void {
    for (const topic of [...this.#byTopic.keys()]) if (isConcerned(topic)) this.tell(topic);
  }
}
