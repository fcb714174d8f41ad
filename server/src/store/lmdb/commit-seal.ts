import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CoordinationError } from "../../model/coordination-error.js";

/*
 * A note beside the data file of which commit was its last and how its meta page reads, so that damage there is found: LMDB
 * would take an older commit for the last one, and acknowledged signals would be gone without a word. And another one of the
 * last commit in the write-ahead log: of one that is damaged there nobody could tell that it ever was.
 *
 * A note is written after each commit and not synced. It is never ahead of what it tells of, because it comes after the commit
 * is on disk; after a power cut it may be behind, and then says nothing.
 */

/** The notes' file in a store's directory. */
export const sealFileName = "signals.seal";

// Two notes in turn, each in a sector of its own: one that is torn leaves the other.
const slotBytes = 512;
const slotsEach = 2;
const noteBytes = 16;
const fileBytes = 2 * slotsEach * slotBytes;

/** A commit as it is told of. */
export interface SealedCommit {
  readonly number: bigint;
  /** CRC-32 of what it wrote last; undefined where that is not to be read any more. */
  readonly checksum: number | undefined;
}

/** What notes tell of. */
const sealedParts = {
  tree: { slot: 0, name: "file" },
  log: { slot: slotsEach, name: "write-ahead log" },
} as const;
export type SealedPart = keyof typeof sealedParts;

/** Keeps one of the notes of a store that is open. */
export class CommitSeal {
  readonly #descriptor: number;
  readonly #slot: number;
  readonly #note = Buffer.alloc(noteBytes);

  private constructor(descriptor: number, slot: number) {
    this.#descriptor = descriptor;
    this.#slot = slot;
  }

  /** Opens a note of a directory, new or old, and compares it with what is there. Throws STORE_CORRUPT. */
  static open(directory: string, part: SealedPart, latest: SealedCommit): CommitSeal {
    const path = join(directory, sealFileName);
    const descriptor = openSync(path, existsSync(path) ? "r+" : "w+");
    const { slot } = sealedParts[part];
    try {
      // Its space is taken now: a disk that is full later is no reason for a note to fail.
      const { size } = fstatSync(descriptor);
      if (size < fileBytes) writeSync(descriptor, Buffer.alloc(fileBytes - size), 0, undefined, size);
      for (const note of readNotes(descriptor, slot)) compareWithSeal(note, latest, part);
      return new CommitSeal(descriptor, slot);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** Notes a commit that is on disk. */
  write(number: bigint, checksum: number): void {
    const note = this.#note;
    note.writeUInt32LE(checksum, 4);
    note.writeBigUInt64LE(number, 8);
    note.writeUInt32LE(crc32(note.subarray(4)), 0);
    const slot = this.#slot + Number(number % BigInt(slotsEach));
    writeSync(this.#descriptor, note, 0, noteBytes, slot * slotBytes);
  }

  /** Makes the note durable and lets go of it. */
  close(): void {
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
  }
}

/** Reads the notes of a directory; none where there are none. */
export function readSeal(directory: string, part: SealedPart): readonly SealedCommit[] {
  const path = join(directory, sealFileName);
  if (!existsSync(path)) return [];
  const descriptor = openSync(path, "r");
  try {
    return readNotes(descriptor, sealedParts[part].slot);
  } finally {
    closeSync(descriptor);
  }
}

/** Throws STORE_CORRUPT where a note tells of another commit than the last that is there. */
export function compareWithSeal(note: SealedCommit, latest: SealedCommit, part: SealedPart): void {
  const { name } = sealedParts[part];
  if (note.number > latest.number) {
    throw new CoordinationError(
      "STORE_CORRUPT",
      `the last commit of the store's ${name} is ${latest.number}, it should be ${note.number} or later: ` +
        `the ${name} is damaged or an older copy; if it was put there on purpose, remove ${sealFileName} beside it`,
    );
  }
  const isKnown = latest.checksum !== undefined && note.number === latest.number;
  if (isKnown && note.checksum !== latest.checksum) {
    throw new CoordinationError(
      "STORE_CORRUPT",
      `the store's ${name} is damaged: commit ${note.number} reads otherwise`,
    );
  }
}

function readNotes(descriptor: number, firstSlot: number): readonly SealedCommit[] {
  return Array.from({ length: slotsEach }, (_, index) => (firstSlot + index) * slotBytes).flatMap((position) => {
    const note = Buffer.alloc(noteBytes);
    // One that is not there, torn or damaged says nothing.
    if (readSync(descriptor, note, 0, noteBytes, position) < noteBytes) return [];
    if (note.readUInt32LE(0) !== crc32(note.subarray(4))) return [];
    return [{ checksum: note.readUInt32LE(4), number: note.readBigUInt64LE(8) }];
  });
}
