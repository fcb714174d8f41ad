/** Events that one reader can lag behind; beyond it, its oldest are dropped. */
const maxBufferedEvents = 256;

/**
 * Hands events to any number of readers, each from the moment it was made. Events tell about work, they are not the work:
 * a reader that stops reading costs at most 256 events, of which it then misses the oldest.
 */
export class StatusFeed<Event> {
  readonly #readers = new Set<FeedReader<Event>>();
  #ended = false;

  /** Hands an event to every reader. */
  emit(event: Event): void {
    for (const reader of this.#readers) reader.push(event);
  }

  /** Ends every reader once it has read what it holds. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /** Makes a reader of what is emitted from now on. It is freed by `break` or when the feed ends. */
  read(): AsyncIterableIterator<Event> {
    const reader = new FeedReader<Event>((closed) => this.#readers.delete(closed));
    if (this.#ended) reader.end();
    else this.#readers.add(reader);
    return reader;
  }
}

class FeedReader<Event> implements AsyncIterableIterator<Event> {
  readonly #events: Event[] = [];
  readonly #waiting: ((result: IteratorResult<Event, undefined>) => void)[] = [];
  readonly #onClose: (reader: FeedReader<Event>) => void;
  #ended = false;

  constructor(onClose: (reader: FeedReader<Event>) => void) {
    this.#onClose = onClose;
  }

  push(event: Event): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting({ done: false, value: event });
      return;
    }
    this.#events.push(event);
    if (this.#events.length > maxBufferedEvents) this.#events.shift();
  }

  end(): void {
    this.#ended = true;
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const [event] = this.#events.splice(0, 1);
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    this.#events.length = 0;
    this.end();
    this.#onClose(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
