import { crc32 } from "node:zlib";
import { CoordinationError } from "./coordination-error.js";
import { priorityLevels } from "./priority-level.js";

/** A position in one incarnation of a coordination's log. */
export interface Cursor {
  /** The incarnation; empty when the coordination did not exist yet. */
  readonly epoch: string;
  /** How many rollbacks the log had seen. */
  readonly generation: number;
  /** The last sequence before which nothing is left to read; 0 is the beginning. */
  readonly sequence: bigint;
  /** The last sequence read of each level, for a reader by priority; `sequence` is the least of them. */
  readonly levelSequences?: readonly bigint[] | undefined;
}

// The version tells the order that the cursor is of.
const sequenceVersion = 1;
const priorityVersion = 2;
const epochBytes = 16;
const sequenceBytes = 8;
const headBytes = 1 + epochBytes + 4;
const checksumBytes = 4;

/** Turns a position into the opaque string that clients keep: base64url of version, epoch, generation, sequences and a checksum. */
export function encodeCursor(cursor: Cursor): string {
  const sequences = cursor.levelSequences ?? [cursor.sequence];
  const bytes = Buffer.alloc(encodedBytes(sequences.length));
  bytes[0] = cursor.levelSequences === undefined ? sequenceVersion : priorityVersion;
  if (cursor.epoch !== "") bytes.write(cursor.epoch.replaceAll("-", ""), 1, "hex");
  bytes.writeUInt32BE(cursor.generation, 1 + epochBytes);
  for (const [index, sequence] of sequences.entries()) {
    bytes.writeBigUInt64BE(sequence, headBytes + index * sequenceBytes);
  }
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -checksumBytes)), bytes.length - checksumBytes);
  return bytes.toString("base64url");
}

/** Reads a cursor back. Throws INVALID_CURSOR for a string that no server of this version made. */
export function decodeCursor(text: string): Cursor {
  const bytes = Buffer.from(text, "base64url");
  const count = [1, priorityLevels.length].find((each) => encodedBytes(each) === bytes.length);
  if (count === undefined || bytes.toString("base64url") !== text)
    throw invalidCursor("it is not of this server's form");
  if (bytes.readUInt32BE(bytes.length - checksumBytes) !== crc32(bytes.subarray(0, -checksumBytes))) {
    throw invalidCursor("it is damaged");
  }
  const version = count === 1 ? sequenceVersion : priorityVersion;
  if (bytes[0] !== version) throw invalidCursor(`its version is ${bytes[0]}, this server knows ${version}`);
  const epoch = epochFromHex(bytes.toString("hex", 1, 1 + epochBytes));
  const generation = bytes.readUInt32BE(1 + epochBytes);
  const sequences = Array.from({ length: count }, (_, index) =>
    bytes.readBigUInt64BE(headBytes + index * sequenceBytes),
  );
  const sequence = leastOf(sequences);
  return count === 1 ? { epoch, generation, sequence } : { epoch, generation, sequence, levelSequences: sequences };
}

/** The later of two sequences. */
export function laterOf(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

/** The least of some sequences; 0 of none. */
export function leastOf(sequences: readonly bigint[]): bigint {
  let [least = 0n] = sequences;
  for (const sequence of sequences) {
    if (sequence < least) least = sequence;
  }
  return least;
}

function encodedBytes(sequenceCount: number): number {
  return headBytes + sequenceCount * sequenceBytes + checksumBytes;
}

function epochFromHex(hex: string): string {
  if (/^0+$/.test(hex)) return "";
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function invalidCursor(why: string): CoordinationError {
  return new CoordinationError("INVALID_CURSOR", `cursor cannot be read: ${why}`);
}
