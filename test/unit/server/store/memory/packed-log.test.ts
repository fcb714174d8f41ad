import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { LogEntry } from "../../../../../server/src/model/log-entry.js";
import { PackedLog, type PackedRange } from "../../../../../server/src/store/memory/packed-log.js";

/** An entry whose bytes are those of its sequence, again and again. */
function entryOf(sequence: bigint, length: number): LogEntry {
  return new LogEntry({ sequence, bytes: Buffer.alloc(length, `${sequence};`) });
}

function textsOf(entries: readonly LogEntry[]): string[] {
  return entries.map(({ sequence, bytes }) => `${sequence} ${bytes.length} ${Buffer.from(bytes).toString("latin1")}`);
}

/** What a read answers, in the most obvious way. */
function expectedRead(entries: readonly LogEntry[], { maxEntries, maxBytes }: PackedRange): LogEntry[] {
  const read: LogEntry[] = [];
  let bytes = 0;
  for (const entry of entries.slice(0, maxEntries)) {
    bytes += entry.bytes.length;
    if (read.length > 0 && bytes > maxBytes) break;
    read.push(entry);
  }
  return read;
}

const everything = { maxEntries: 1_000_000, maxBytes: 1_000_000_000 };

// Lengths that fill pages of all sizes, and those that take a page of their own.
const length = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 400 }) },
  { weight: 2, arbitrary: fc.integer({ min: 400, max: 9_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(1_020, 1_021, 65_532, 65_533, 262_144) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ append: fc.array(length, { minLength: 1, maxLength: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ skip: fc.bigInt({ min: 1n, max: 5n }) }) },
  { weight: 2, arbitrary: fc.record({ trim: fc.bigInt({ min: 0n, max: 60n }) }) },
  { weight: 2, arbitrary: fc.record({ rollBack: fc.bigInt({ min: 0n, max: 30n }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      read: fc.nat({ max: 200 }),
      maxEntries: fc.integer({ min: 1, max: 50 }),
      maxBytes: fc.constantFrom(1, 500, 20_000, everything.maxBytes),
    }),
  },
);

describe("PackedLog", () => {
  test("answers as an array would, and what was read stays as it is", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const log = new PackedLog();
        let entries: LogEntry[] = [];
        let head = 0n;
        const held: { readonly read: readonly LogEntry[]; readonly texts: readonly string[] }[] = [];
        for (const each of steps) {
          const first = entries.at(0)?.sequence ?? head + 1n;
          if ("append" in each) {
            for (const bytes of each.append) {
              head += 1n;
              log.append(entryOf(head, bytes));
              entries.push(entryOf(head, bytes));
            }
          } else if ("skip" in each) {
            head += each.skip;
          } else if ("trim" in each) {
            const through = first - 1n + each.trim < head ? first - 1n + each.trim : head;
            log.removeThrough(through);
            entries = entries.filter(({ sequence }) => sequence > through);
          } else if ("rollBack" in each) {
            log.removeAfter(head - each.rollBack);
            entries = entries.filter(({ sequence }) => sequence <= head - each.rollBack);
          } else {
            const range = { ...each, fromSequence: first - 3n + BigInt(each.read) };
            const forward = log.readForward(range);
            const after = entries.filter(({ sequence }) => sequence > range.fromSequence);
            expect(textsOf(forward)).toEqual(textsOf(expectedRead(after, range)));
            held.push({ read: forward, texts: textsOf(forward) });
            const before = entries.filter(({ sequence }) => sequence < range.fromSequence).reverse();
            expect(textsOf(log.readBackward(range))).toEqual(textsOf(expectedRead(before, range)));
          }
        }
        const all = { ...everything, fromSequence: 0n };
        expect(textsOf(log.readForward(all))).toEqual(textsOf(entries));
        expect(textsOf(log.readBackward({ ...all, fromSequence: head + 2n }))).toEqual(textsOf(entries).reverse());
        const bySequence = new Map(entries.map((entry) => [entry.sequence, entry]));
        for (let sequence = 0n; sequence <= head + 1n; sequence++) {
          const [found, expected] = [log.entryAt(sequence), bySequence.get(sequence)];
          expect(found && textsOf([found])).toEqual(expected && textsOf([expected]));
        }
        for (const { read, texts } of held) expect(textsOf(read)).toEqual(texts);
      }),
      { numRuns: 60 },
    );
  });

  test("does not write over what a rollback took out, even where the sequences are taken again", () => {
    const log = new PackedLog();
    for (const sequence of [1n, 2n, 3n]) log.append(entryOf(sequence, 30));
    const read = log.readForward({ ...everything, fromSequence: 0n });
    const texts = textsOf(read);
    log.removeAfter(1n);
    log.append(new LogEntry({ sequence: 2n, bytes: Buffer.alloc(30, "x") }));
    expect(textsOf(read)).toEqual(texts);
    expect(log.readForward({ ...everything, fromSequence: 1n }).map(({ bytes }) => bytes.at(0))).toEqual([0x78]);
  });

  test("takes a piece of memory for some hundreds of entries, and little for a few", () => {
    const small = new PackedLog();
    small.append(entryOf(1n, 200));
    expect(memoryOf(small)).toEqual([1_024]);
    const large = new PackedLog();
    for (let sequence = 1n; sequence <= 10_000n; sequence++) large.append(entryOf(sequence, 200));
    const pieces = memoryOf(large);
    expect(pieces.length).toBeLessThan(45);
    expect(Math.max(...pieces)).toBe(65_536);
    expect(sumOf(pieces)).toBeLessThan(1.1 * 10_000 * 204);
  });

  test("takes memory for what it holds, however often it is rolled back or trimmed", () => {
    const log = new PackedLog();
    for (let sequence = 1n; sequence <= 3_000n; sequence++) log.append(entryOf(sequence, 200));
    let head = 3_000n;
    for (let round = 0; round < 1_000; round++) {
      log.removeAfter(head);
      head += 2n;
      log.append(entryOf(head, 200));
    }
    expect(sumOf(memoryOf(log))).toBeLessThan(3_000 * 250 + 65_536 + 1_000 * 1_024);
    log.removeThrough(head - 1n);
    expect(memoryOf(log)).toEqual([1_024]);
  });
});

/** The sizes of the pieces of memory behind what is read. */
function memoryOf(log: PackedLog): number[] {
  const entries = log.readForward({ ...everything, fromSequence: 0n });
  return [...new Set(entries.map(({ bytes }) => bytes.buffer))].map(({ byteLength }) => byteLength);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
