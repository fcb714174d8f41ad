import { CoordinationError } from "../model/coordination-error.js";
import type { LogEntry } from "../model/log-entry.js";
import type {
  CommitOutcome,
  CommitPart,
  CoordinationHeader,
  JournalRange,
  JournalRecord,
  LogRange,
  SharedStore,
  SignalStore,
  StoredCoordination,
} from "./signal-store.js";

/**
 * A store whose failures stop the process where what it would say afterwards could not be trusted: damage always, and
 * whatever else fails on a store that says so. From the first such failure on it answers nothing any more.
 */
export class FailStopStore implements SignalStore {
  readonly #store: SignalStore;
  readonly #onFatal: (error: unknown) => void;
  #failure: CoordinationError | undefined;

  /** `onFatal` is called once. */
  constructor(store: SignalStore, onFatal: (error: unknown) => void) {
    this.#store = store;
    this.#onFatal = onFatal;
  }

  /** Takes the store for failed because of what somebody found who read from it. Only the first failure counts. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = asStoreError(error);
    this.#onFatal(error);
  }

  get url(): string {
    return this.#store.url;
  }

  get isDurable(): boolean {
    return this.#store.isDurable;
  }

  get failureIsFatal(): boolean {
    return this.#store.failureIsFatal;
  }

  get shared(): SharedStore | undefined {
    const { shared } = this.#store;
    return shared && this.#guardedShare(shared);
  }

  commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    return this.#guarded(() => this.#store.commit(parts));
  }

  load(coordinationId: string): Promise<StoredCoordination | undefined> {
    return this.#guarded(() => this.#store.load(coordinationId));
  }

  readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    return this.#guarded(() => this.#store.readJournal(range));
  }

  readForward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#guarded(() => this.#store.readForward(range));
  }

  readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#guarded(() => this.#store.readBackward(range));
  }

  findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    return this.#guarded(() => this.#store.findRequests(coordinationId, epoch, keys));
  }

  list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    return this.#guarded(() => this.#store.list(afterId, limit));
  }

  count(): number {
    return this.#store.count();
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #guardedShare(shared: SharedStore): SharedStore {
    return {
      get serverSlot() {
        return shared.serverSlot;
      },
      findChanged: (known) => this.#guarded(() => shared.findChanged(known)),
      changesSince: (known) => this.#guarded(() => shared.changesSince(known)),
      commitLocked: (known, build) => this.#guarded(() => shared.commitLocked(known, build)),
      watch: (residents, listener) => shared.watch(residents, listener),
      watchAvailability: (listener) => shared.watchAvailability(listener),
    };
  }

  async #guarded<T>(use: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return await use();
    } catch (error) {
      if (!this.#isFatal(error)) throw error;
      this.fail(error);
      throw this.#failure ?? error;
    }
  }

  #isFatal(error: unknown): boolean {
    return this.#store.failureIsFatal || (error instanceof CoordinationError && error.reason === "STORE_CORRUPT");
  }
}

function asStoreError(error: unknown): CoordinationError {
  if (error instanceof CoordinationError) return error;
  return new CoordinationError("STORE_UNAVAILABLE", "the store has failed and the server is stopping", {
    cause: error,
  });
}
