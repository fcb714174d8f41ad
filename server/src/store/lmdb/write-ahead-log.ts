import { closeSync, existsSync, fdatasync, fdatasyncSync, fstatSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type CommitFailedError, commitFailed, systemReason } from "./commit-failed.js";
import { CommitSeal, type SealedCommit } from "./commit-seal.js";
import type { RowChange } from "./lmdb-writer.js";
import { syncDirectory } from "./sync-directory.js";
import { regionBytes, regionsOf, type WalStretch, walFileName } from "./wal-contents.js";
import { walRecordBytes, writeWalRecord } from "./wal-record.js";

/*
 * The write-ahead log: small commits, one behind the other, made durable by one sync each, until they are in the tree. Its file
 * has two regions of a fixed size, so that a sync changes nothing but data. One is written while the other's commits go into
 * the tree; when they are durable there, it is written from its beginning again.
 */

const syncDataLater = promisify(fdatasync);

/** The log of a store that is open. */
export class WriteAheadLog {
  readonly #directory: string;
  readonly #descriptor: number;
  readonly #salt: number;
  readonly #regions: readonly [Buffer, Buffer];
  readonly #seal: CommitSeal;
  #current: 0 | 1 = 0;
  #end = 0;
  #last: SealedCommit;

  private constructor(directory: string, { descriptor, seal, salt, last }: OpenWal) {
    this.#directory = directory;
    this.#descriptor = descriptor;
    this.#seal = seal;
    this.#salt = salt;
    this.#last = last;
    this.#regions = regionsOf(Buffer.alloc(2 * regionBytes));
  }

  /**
   * Opens the log of a directory, and makes one where there is none. All that is in it must be in the tree; what is written follows
   * the commit that was the last. `salt` tells the store's own records from others.
   */
  static open(directory: string, salt: number, last: SealedCommit): WriteAheadLog {
    const path = join(directory, walFileName);
    const isNew = !existsSync(path);
    const descriptor = openSync(path, isNew ? "wx+" : "r+");
    try {
      takeSpace(descriptor);
      if (isNew) syncDirectory(directory);
      const seal = CommitSeal.open(directory, "log", last);
      return new WriteAheadLog(directory, { descriptor, seal, salt, last });
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** Bytes that the commits of the current region take. */
  get filled(): number {
    return this.#end;
  }

  /** Whether a commit has room in the current region. */
  hasRoom(changes: readonly RowChange[]): boolean {
    return this.#end + walRecordBytes(changes) <= regionBytes;
  }

  /**
   * Writes a commit behind the others; it is not durable yet. `transaction` is the last one of the tree. Throws
   * CommitFailedError.
   */
  append(changes: readonly RowChange[], transaction: bigint): void {
    const region = this.#regions[this.#current];
    const of = { start: this.#end, number: this.#last.number + 1n, transaction, salt: this.#salt, changes };
    const record = writeWalRecord(region, of);
    const length = record.end - record.start;
    const place = this.#current * regionBytes + record.start;
    try {
      const written = writeSync(this.#descriptor, region, record.start, length, place);
      if (written < length) throw new Error(`${written} of ${length} bytes were written`);
    } catch (error) {
      throw this.#failed(error);
    }
    this.#end = record.end;
    this.#last = record;
  }

  /** Makes what was appended durable, while everything else waits. Throws CommitFailedError. */
  sync(): void {
    try {
      fdatasyncSync(this.#descriptor);
    } catch (error) {
      throw this.#failed(error);
    }
    this.#noteLast();
  }

  /** Makes what was appended durable. Nothing may be appended meanwhile. Rejects with CommitFailedError. */
  async syncLater(): Promise<void> {
    try {
      await syncDataLater(this.#descriptor);
    } catch (error) {
      throw this.#failed(error);
    }
    this.#noteLast();
  }

  /** Goes to the other region, whose commits must be in the tree, and answers those of this one with the last number. */
  turn(): WalStretch {
    const stretch = { bytes: this.#regions[this.#current], start: 0, end: this.#end, last: this.#last };
    this.#current = this.#current === 0 ? 1 : 0;
    this.#end = 0;
    return stretch;
  }

  close(): void {
    this.#seal.close();
    closeSync(this.#descriptor);
  }

  #noteLast(): void {
    const { number, checksum } = this.#last;
    if (checksum !== undefined) this.#seal.write(number, checksum);
  }

  #failed(error: unknown): CommitFailedError {
    const { errno, code, message } = error as NodeJS.ErrnoException;
    const path = join(this.#directory, walFileName);
    return commitFailed(path, errno === undefined ? message : systemReason(-errno), code ?? "short write", error);
  }
}

interface OpenWal {
  readonly descriptor: number;
  readonly seal: CommitSeal;
  readonly salt: number;
  readonly last: SealedCommit;
}

/** The file has all its space before anything is written: a sync has then no length to note, and no write lacks room. */
function takeSpace(descriptor: number): void {
  const { size } = fstatSync(descriptor);
  if (size >= 2 * regionBytes) return;
  const zeros = Buffer.alloc(2 * regionBytes - size);
  // A disk that becomes full takes a part first, and refuses the rest.
  for (let at = 0; at < zeros.length; ) at += writeSync(descriptor, zeros, at, undefined, size + at);
  fsyncSync(descriptor);
}
