import { performance } from "node:perf_hooks";
import { CommitPath } from "./commit-path.js";
import type { LmdbWriter, RowChange } from "./lmdb-writer.js";
import type { LmdbDatabase } from "./open-lmdb.js";
import { type CommitHeaders, PendingRows } from "./pending-rows.js";
import { appliedIn, readWal, saltOf, treeRows } from "./wal-contents.js";
import { WriteAheadLog } from "./write-ahead-log.js";

/** The commits of a region go into the tree when they take so many bytes ... */
export const turnBytes = 1024 * 1024;
/** ... or the first of them is so old, in milliseconds. */
const turnMs = 10_000;

/** One commit. */
export interface StoreCommit {
  readonly changes: readonly RowChange[];
  readonly headers: CommitHeaders;
  /** Whether it may wait in the log for its way into the tree: it takes nothing away. */
  readonly isLoggable: boolean;
}

type TreeWriter = Pick<LmdbWriter, "lastTransaction" | "commit" | "close">;

/**
 * Writes commits, one after the other. A small one is durable in the write-ahead log with one sync, and follows into the tree
 * with many others; a large one takes all that waits along into the tree.
 */
export class StoreWriter {
  readonly #tree: TreeWriter;
  readonly #log: WriteAheadLog;
  readonly #turnBytes: number;
  readonly #path = new CommitPath();
  /** What is durable and not in the tree. */
  readonly pending = new PendingRows();
  #syncing: Promise<void> | undefined;
  #applying: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(tree: TreeWriter, log: WriteAheadLog, turnBytes: number) {
    this.#tree = tree;
    this.#log = log;
    this.#turnBytes = turnBytes;
  }

  /** Writes a commit, and resolves when it is durable. Rejects when it failed; nothing can be written after that. */
  async commit(commit: StoreCommit): Promise<void> {
    this.#throwIfFailed();
    try {
      const way = commit.isLoggable ? this.#path.next(bytesOf(commit.changes)) : "tree";
      if (way === "tree") await this.#writeThrough(commit.changes);
      else await this.#logCommit(commit, way === "logAtOnce");
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  /** Resolves when all that is durable now is in the tree. */
  async drain(): Promise<void> {
    this.#throwIfFailed();
    await this.#applying;
    if (this.#applying === undefined && !this.pending.isEmpty) await this.#apply();
    else await this.#applying;
  }

  /** Puts what waits into the tree and closes both. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      if (this.#failure === undefined) await this.drain();
    } finally {
      await this.#tree.close();
      this.#log.close();
    }
  }

  async #logCommit({ changes, headers }: StoreCommit, isAtOnce: boolean): Promise<void> {
    if (!this.#log.hasRoom(changes)) await this.drain();
    this.#log.append(changes, this.#tree.lastTransaction);
    if (isAtOnce) {
      const startMs = performance.now();
      this.#log.sync();
      this.#path.took(performance.now() - startMs);
    } else {
      this.#syncing = this.#log.syncLater();
      await this.#syncing;
      this.#syncing = undefined;
    }
    this.pending.add(changes, headers);
    if (this.#log.filled >= this.#turnBytes) this.#applyLater();
    else this.#timer ??= setTimeout(() => this.#applyLater(), turnMs).unref();
  }

  async #writeThrough(changes: readonly RowChange[]): Promise<void> {
    while (this.#applying !== undefined) await this.#applying;
    if (this.pending.isEmpty) await this.#tree.commit(changes);
    else await this.#apply(changes);
  }

  /** Whoever commits next is told of a failure: what was acknowledged is safe in the log. */
  #applyLater(): void {
    if (this.#applying === undefined) this.#apply().catch(() => undefined);
  }

  /** Puts what waits into the tree, with more behind it; nothing is on its way there. */
  #apply(more: readonly RowChange[] = []): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#applying = this.#applyNow(more).then(
      () => {
        this.#applying = undefined;
      },
      (error: unknown) => {
        this.#failure ??= { error };
        this.#applying = undefined;
        throw error;
      },
    );
    return this.#applying;
  }

  async #applyNow(more: readonly RowChange[]): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    this.pending.turn();
    await this.#tree.commit([...treeRows(this.#log.turn()), ...more]);
    this.pending.arrived();
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** What a store is written with. */
export interface StoreWriterOptions {
  readonly db: LmdbDatabase;
  readonly tree: LmdbWriter;
  readonly directory: string;
  /** Bytes of commits in the log that go into the tree together. */
  readonly turnBytes: number;
}

/** Opens what writes to a store, after all that an earlier process left in the log is in the tree. Throws STORE_CORRUPT. */
export async function openStoreWriter({ db, tree, directory, turnBytes }: StoreWriterOptions): Promise<StoreWriter> {
  const left = readWal(db, directory);
  if (left.length > 0) await tree.commit(left.flatMap((stretch) => [...treeRows(stretch)]));
  const last = left.at(-1)?.last ?? { number: appliedIn(db), checksum: undefined };
  return new StoreWriter(tree, WriteAheadLog.open(directory, saltOf(db), last), turnBytes);
}

function bytesOf(changes: readonly RowChange[]): number {
  let bytes = 0;
  for (const { key, value } of changes) bytes += key.byteLength + (value?.byteLength ?? 0);
  return bytes;
}
