import { dirname } from "node:path";
import { CommitFailedError, commitFailed, systemReason } from "./commit-failed.js";
import { CommitSeal } from "./commit-seal.js";
import { DataFile } from "./data-file.js";
import type { LmdbDatabase } from "./open-lmdb.js";

/*
 * Commits, and what became of them. When a commit fails, lmdb-js rejects its promise without the cause, prints a stack, and
 * where the transaction could not even begin never settles the promise. The status is known in one place only, the call-back
 * of the native writer: that is where it is taken from. And after each
 * commit the file is asked whether it is there.
 */

/** A row that is set, or removed where it has no value. */
export interface RowChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** The native writer's door: runs what is queued and reports 0 at the end, 1 and 2 on the way, else why it failed. */
interface NativeWriter {
  startWriting(address: number, onStatus: (status: number) => unknown): unknown;
}

const progressStatuses: readonly number[] = [0, 1, 2];
const lmdbErrors: Readonly<Record<number, string>> = {
  [-30797]: "a page is not there",
  [-30796]: "a page is damaged",
  [-30795]: "an earlier write has failed",
  [-30792]: "the map is full",
  [-30788]: "the transaction is too large",
};

/** Writes rows to a store, one commit after the other. */
export class LmdbWriter {
  readonly #db: LmdbDatabase;
  readonly #file: DataFile;
  readonly #seal: CommitSeal;
  readonly #failed: Promise<never>;
  #lastTransaction: bigint;
  #hasFailed = false;

  /** `path` is the data file of `db`. Throws STORE_CORRUPT when it is not as its last commit left it. */
  constructor(db: LmdbDatabase, path: string) {
    this.#db = db;
    this.#file = new DataFile(path);
    const latest = this.#file.readLatestMeta();
    this.#lastTransaction = latest.transaction;
    this.#seal = CommitSeal.open(dirname(path), "tree", { number: latest.transaction, checksum: latest.checksum });
    this.#failed = this.#watchNativeWriter();
    // Whoever commits is told; when nobody does, there is nobody to tell.
    this.#failed.catch(() => undefined);
  }

  /** Number of the last commit that is on disk. */
  get lastTransaction(): bigint {
    return this.#lastTransaction;
  }

  /** Writes rows as one commit, and resolves when it is on disk. Rejects when it failed; nothing can be written after that. */
  async commit(changes: readonly RowChange[]): Promise<void> {
    if (this.#hasFailed) throw new CommitFailedError(`an earlier commit to ${this.#file.path} failed`);
    try {
      await Promise.race([this.#db.batch(() => this.#write(changes)), this.#failed]);
      this.#sealCommit();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  /** Waits for the commit on its way and closes the store. */
  async close(): Promise<void> {
    // A writer that has failed may hold a lock that closing would wait for.
    if (!this.#hasFailed) await this.#db.close();
    this.#seal.close();
    this.#file.close();
  }

  #write(changes: readonly RowChange[]): void {
    for (const { key, value } of changes) {
      if (value === undefined) this.#db.remove(key);
      else this.#db.put(key, value);
    }
  }

  #sealCommit(): void {
    const latest = this.#file.readMeta(this.#lastTransaction + 1n) ?? this.#file.readLatestMeta();
    if (latest.transaction <= this.#lastTransaction) {
      throw new CommitFailedError(`the commit after ${this.#lastTransaction} is not in ${this.#file.path}`);
    }
    this.#lastTransaction = latest.transaction;
    this.#seal.write(latest.transaction, latest.checksum);
  }

  #watchNativeWriter(): Promise<never> {
    const native = (this.#db as unknown as { readonly env: NativeWriter }).env;
    const startWriting = native.startWriting.bind(native);
    return new Promise<never>((_resolve, reject) => {
      const onFailure = (status: number): void => {
        endLineOfNativeCode();
        reject(commitFailed(this.#file.path, lmdbErrors[status] ?? systemReason(status), status));
      };
      Object.defineProperty(native, "startWriting", {
        value: (address: number, onStatus: (status: number) => unknown) =>
          startWriting(address, (status) => {
            if (progressStatuses.includes(status)) return onStatus(status);
            return onFailure(status);
          }),
      });
    });
  }
}

/** Native code may have left a line on the standard error unfinished. */
function endLineOfNativeCode(): void {
  process.stderr.write("\n");
}
