import type { LogEntry } from "../../server/src/model/log-entry.js";
import type {
  CommitOutcome,
  CommitPart,
  CoordinationHeader,
  JournalRange,
  JournalRecord,
  LogRange,
  SignalStore,
  StoredCoordination,
} from "../../server/src/store/signal-store.js";

/** What a store was asked to do. */
export interface StoreCounts {
  commits: number;
  committedEntries: number;
  committedBytes: number;
  committedRecords: number;
  loads: number;
  reads: number;
  readEntries: number;
  lookups: number;
}

/** Where a test can hold or fail what a store does; each runs before the store does it unless it says otherwise. */
export interface StoreHooks {
  beforeCommit?: (parts: readonly CommitPart[]) => Promise<void> | void;
  /** After the commit is durable, before the caller learns of it. */
  afterCommit?: () => Promise<void> | void;
  beforeRead?: () => Promise<void> | void;
  afterRead?: () => Promise<void> | void;
  beforeLoad?: () => Promise<void> | void;
}

/** A store that counts what it is asked, and that a test can hold or fail. */
export class ObservedStore implements SignalStore {
  readonly counts: StoreCounts = {
    commits: 0,
    committedEntries: 0,
    committedBytes: 0,
    committedRecords: 0,
    loads: 0,
    reads: 0,
    readEntries: 0,
    lookups: 0,
  };
  readonly url: string;
  readonly isDurable: boolean;
  readonly failureIsFatal: boolean;
  readonly shared = undefined;
  hooks: StoreHooks = {};
  readonly #inner: SignalStore;

  constructor(inner: SignalStore, { failureIsFatal = inner.failureIsFatal } = {}) {
    this.#inner = inner;
    this.url = inner.url;
    this.isDurable = inner.isDurable;
    this.failureIsFatal = failureIsFatal;
  }

  async commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    await this.hooks.beforeCommit?.(parts);
    this.counts.commits += 1;
    for (const part of parts) {
      if (part.action === "remove") continue;
      this.counts.committedEntries += part.entries.length;
      this.counts.committedRecords += part.records.length;
      for (const { bytes } of part.entries) this.counts.committedBytes += bytes.length;
      for (const { value } of part.records) this.counts.committedBytes += value?.length ?? 0;
    }
    const outcomes = await this.#inner.commit(parts);
    await this.hooks.afterCommit?.();
    return outcomes;
  }

  async load(coordinationId: string): Promise<StoredCoordination | undefined> {
    this.counts.loads += 1;
    await this.hooks.beforeLoad?.();
    return this.#inner.load(coordinationId);
  }

  readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    return this.#inner.readJournal(range);
  }

  readForward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#read(() => this.#inner.readForward(range));
  }

  readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#read(() => this.#inner.readBackward(range));
  }

  findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    this.counts.lookups += keys.length;
    return this.#inner.findRequests(coordinationId, epoch, keys);
  }

  list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    return this.#inner.list(afterId, limit);
  }

  count(): number {
    return this.#inner.count();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #read(read: () => Promise<readonly LogEntry[]>): Promise<readonly LogEntry[]> {
    await this.hooks.beforeRead?.();
    this.counts.reads += 1;
    const entries = await read();
    this.counts.readEntries += entries.length;
    await this.hooks.afterRead?.();
    return entries;
  }
}
