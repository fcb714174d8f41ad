import { setTimeout } from "node:timers/promises";
import type { FindChanged, KnownCoordination } from "../signal-store.js";

/*
 * Learns what other servers have changed: from hints at once, and by looking, because hints can be lost. One look takes so many
 * coordinations at the most; of more than that each is looked at in turn.
 */

/** How long a change can go unnoticed when its hint was lost. */
const pollIntervalMs = 250;
/** Coordinations in one look. */
const maxPolled = 1_000;

/** What the watcher works with. */
export interface ChangeWatcherOptions {
  readonly findChanged: FindChanged;
  /** The coordinations that are of interest. */
  readonly residents: () => Iterable<KnownCoordination>;
  readonly listener: (coordinationIds: readonly string[]) => void;
}

/** Watches a database for changes by other servers. */
export class ChangeWatcher {
  readonly #options: ChangeWatcherOptions;
  readonly #closed = new AbortController();
  readonly #watching: Promise<void>;
  /** The last coordination that was looked at. */
  #last: string | undefined;

  constructor(options: ChangeWatcherOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** Passes on that coordinations have changed; undefined when it may be any. */
  hear(coordinationIds: readonly string[] | undefined): void {
    if (coordinationIds !== undefined) this.#options.listener(coordinationIds);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await setTimeout(pollIntervalMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const known = this.#nextToPoll();
    if (known.length === 0) return;
    try {
      const changed = await this.#options.findChanged(known);
      if (changed.length > 0 && !this.#closed.signal.aborted) this.#options.listener(changed);
    } catch {
      // The store has told whoever watches it, and the next look comes soon.
    }
  }

  /** Those after the ones that the last look took, or all when they are few. */
  #nextToPoll(): readonly KnownCoordination[] {
    const residents = [...this.#options.residents()];
    if (residents.length <= maxPolled) return residents;
    const start = residents.findIndex(({ coordinationId }) => coordinationId === this.#last) + 1;
    const taken = [...residents.slice(start), ...residents.slice(0, start)].slice(0, maxPolled);
    this.#last = taken.at(-1)?.coordinationId;
    return taken;
  }
}
