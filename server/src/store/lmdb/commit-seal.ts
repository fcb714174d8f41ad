import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";
import type { MetaPage } from "./data-file.js";

/*
 * A note beside the data file of which commit was its last and how its meta page reads, so that damage there is found: LMDB
 * would take an older commit for the last one, and acknowledged signals would be gone without a word.
 *
 * The note is written after each commit and not synced. It is never ahead of the data file, because it comes after the commit
 * is on disk; after a power cut it may be behind, and then says nothing.
 */

/** The note's file in a store's directory. */
export const sealFileName = "signals.seal";

// Two notes in turn, each in a sector of its own: one that is torn leaves the other.
const slotBytes = 512;
const noteBytes = 16;

/** Keeps the note of a store that is open. */
export class CommitSeal {
  readonly #descriptor: number;
  readonly #note = Buffer.alloc(noteBytes);

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Opens the note of a directory, new or old, and compares it with the data file. Throws STORE_CORRUPT. */
  static open(directory: string, latest: MetaPage): CommitSeal {
    const path = join(directory, sealFileName);
    const descriptor = openSync(path, existsSync(path) ? "r+" : "w+");
    try {
      // Its space is taken now: a disk that is full later is no reason for a note to fail.
      if (fstatSync(descriptor).size < 2 * slotBytes) writeSync(descriptor, Buffer.alloc(2 * slotBytes));
      for (const note of readNotes(descriptor)) compare(note, latest);
      return new CommitSeal(descriptor);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** Notes a commit that is on disk. */
  write({ transaction, checksum }: MetaPage): void {
    const note = this.#note;
    note.writeUInt32LE(checksum, 4);
    note.writeBigUInt64LE(transaction, 8);
    note.writeUInt32LE(crc32(note.subarray(4)), 0);
    writeSync(this.#descriptor, note, 0, noteBytes, Number(transaction % 2n) * slotBytes);
  }

  /** Makes the note durable and lets go of it. */
  close(): void {
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
  }
}

function compare(note: MetaPage, latest: MetaPage): void {
  if (note.transaction > latest.transaction) {
    throw new CoordinationError(
      "STORE_CORRUPT",
      `the store's last commit is ${latest.transaction}, it should be ${note.transaction} or later: ` +
        `the file is damaged or an older copy; if it was put there on purpose, remove ${sealFileName} beside it`,
    );
  }
  if (note.transaction === latest.transaction && note.checksum !== latest.checksum) {
    throw new CoordinationError(
      "STORE_CORRUPT",
      `the store's file is damaged: commit ${note.transaction} reads otherwise`,
    );
  }
}

function readNotes(descriptor: number): readonly MetaPage[] {
  return [0, slotBytes].flatMap((position) => {
    const note = Buffer.alloc(noteBytes);
    // One that is not there, torn or damaged says nothing.
    if (readSync(descriptor, note, 0, noteBytes, position) < noteBytes) return [];
    if (note.readUInt32LE(0) !== crc32(note.subarray(4))) return [];
    return [{ checksum: note.readUInt32LE(4), transaction: note.readBigUInt64LE(8) }];
  });
}
