import type { PlainReader } from "./plain-reader.js";

/*
 * Equal maps have equal bytes once their entries stand in the order of their keys. Entries that do not are put in order where they
 * were copied to; what is in them stays as it is. An entry is a tag of one byte, a length and its content, and that begins with the
 * key in the same form.
 */

const underscore = 0x5f;
const zero = 0x30;
const nine = 0x39;
/** From this byte on the order of UTF-8 is another one than that of UTF-16, in which JavaScript sorts. */
const leastUnordered = 0xee;

/** Watches the keys of one map as they are read. */
export class MapOrder {
  readonly #reader: PlainReader;
  #start = 0;
  #stop = 0;
  #count = 0;
  #hasNumeric = false;
  /** Whether each key came behind those before it. */
  isKept = true;

  constructor(reader: PlainReader) {
    this.#reader = reader;
  }

  /** How many keys were seen. */
  get count(): number {
    return this.#count;
  }

  /** Looks at the key that was read last. Ends the reading where JavaScript's objects would not keep it, or not where it belongs. */
  see(): void {
    const { bytes, start, stop } = this.#reader;
    const first = bytes[start] ?? 0;
    // An object's `__proto__` is no key; those that look like an index come first, in the order of numbers.
    if (first === underscore && bytes[start + 1] === underscore) this.#reader.give();
    if (first >= zero && first <= nine) this.#hasNumeric = true;
    this.#count += 1;
    if (this.#count > 1) {
      if (this.#hasNumeric || hasUnordered(bytes, start, stop)) this.#reader.give();
      else if (compareKeys(bytes, this.#start, this.#stop, start, stop) >= 0) this.isKept = false;
    } else if (hasUnordered(bytes, start, stop)) this.#hasNumeric = true;
    this.#start = start;
    this.#stop = stop;
  }
}

/** Puts entries in the order of their keys. Answers false when a key is there twice. */
export function orderEntries(bytes: Uint8Array, start: number, end: number): boolean {
  const entries: Entry[] = [];
  for (let at = start; at < end; ) {
    const content = contentAt(bytes, at);
    const key = contentAt(bytes, content.start);
    entries.push({ start: at, stop: content.stop, keyStart: key.start, keyStop: key.stop });
    at = content.stop;
  }
  const before = Uint8Array.from(bytes.subarray(start, end));
  const compare = (one: Entry, other: Entry) =>
    compareKeys(before, one.keyStart - start, one.keyStop - start, other.keyStart - start, other.keyStop - start);
  entries.sort(compare);
  let at = start;
  let last: Entry | undefined;
  for (const entry of entries) {
    if (last !== undefined && compare(last, entry) === 0) return false;
    bytes.set(before.subarray(entry.start - start, entry.stop - start), at);
    at += entry.stop - entry.start;
    last = entry;
  }
  return true;
}

interface Entry {
  readonly start: number;
  readonly stop: number;
  readonly keyStart: number;
  readonly keyStop: number;
}

/** The content of the field at an offset: behind a tag of one byte and its length. */
export function contentAt(bytes: Uint8Array, at: number): { readonly start: number; readonly stop: number } {
  let start = at + 1;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[start++] ?? 0;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { start, stop: start + length };
  }
}

function compareKeys(bytes: Uint8Array, start: number, stop: number, otherStart: number, otherStop: number): number {
  const length = Math.min(stop - start, otherStop - otherStart);
  for (let at = 0; at < length; at++) {
    const difference = (bytes[start + at] ?? 0) - (bytes[otherStart + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return stop - start - (otherStop - otherStart);
}

function hasUnordered(bytes: Uint8Array, start: number, stop: number): boolean {
  for (let at = start; at < stop; at++) if ((bytes[at] ?? 0) >= leastUnordered) return true;
  return false;
}
