/*
 * Which signals of a log may have been made by a request: the hashes of the requests by sequence, and a table of hashes with
 * open addressing that leads to them. About sixteen bytes a signal. Nothing is ever taken out of the table; what has left the
 * log is left behind when it is made anew, which happens when it is full, so that a signal costs the same however many there
 * are.
 */

const leastCapacity = 16;
// Room for half as many signals as there are, so that making the table anew is paid for by the signals that filled it.
const growth = 1.5;
const fullest = 0.75;
const none: readonly number[] = [];

/** The hashes of one log's requests. */
export class RequestTable {
  /** The hash of the request that made the signal `#base` + index; 0 for none. */
  #hashes: Uint32Array;
  /** Index + 1 into the hashes, from the place of the hash on; 0 for nothing. */
  #slots: Uint32Array;
  #base: number;
  #first: number;
  #next: number;
  #used = 0;

  /** `firstSequence` is the first that can come; room for so many is made at once. */
  constructor(firstSequence: number, signals = 0) {
    this.#base = firstSequence;
    this.#first = firstSequence;
    this.#next = firstSequence;
    [this.#hashes, this.#slots] = roomFor(signals);
  }

  /** Signals that there is room for. */
  get capacity(): number {
    return this.#hashes.length;
  }

  /** Adds a signal by the hash of its request, 0 when it has none. One that is there already is passed over. */
  add(sequence: number, hash: number): void {
    if (sequence < this.#next) return;
    if (sequence - this.#base >= this.#hashes.length || this.#used >= this.#slots.length * fullest) {
      this.#makeRoom(sequence);
    }
    this.#next = sequence + 1;
    if (hash !== 0) this.#enter(sequence - this.#base, hash);
  }

  /** Forgets the signals through a sequence. */
  removeThrough(sequence: number): void {
    if (sequence >= this.#first) this.#first = sequence + 1;
    if (this.#next < this.#first) this.#next = this.#first;
  }

  /** Forgets the signals after a sequence. */
  removeAfter(sequence: number): void {
    const start = Math.max(sequence + 1, this.#first);
    if (start >= this.#next) return;
    this.#hashes.fill(0, start - this.#base, this.#next - this.#base);
    this.#next = start;
  }

  /** The sequences whose requests have a hash, the newest first. */
  find(hash: number): readonly number[] {
    const mask = this.#slots.length - 1;
    let found: number[] | undefined;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot] ?? 0;
      if (index === 0) break;
      const sequence = this.#base + index - 1;
      if (this.#hashes[index - 1] === hash && sequence >= this.#first) {
        found ??= [];
        found.push(sequence);
      }
    }
    if (found === undefined) return none;
    return found.length < 2 ? found : [...new Set(found)].sort((a, b) => b - a);
  }

  /** The hashes of signals that are there, through the last one; good until the table is changed. */
  hashes(first: number, last: number): Uint32Array {
    return this.#hashes.subarray(first - this.#base, last + 1 - this.#base);
  }

  #enter(index: number, hash: number): void {
    this.#hashes[index] = hash;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = index + 1;
    this.#used += 1;
  }

  #makeRoom(sequence: number): void {
    const hashes = this.#hashes.subarray(this.#first - this.#base, this.#next - this.#base);
    [this.#hashes, this.#slots] = roomFor(sequence + 1 - this.#first);
    this.#base = this.#first;
    this.#used = 0;
    // Counted: an iterator takes several times as long, and this is done for every signal a few times.
    for (let index = 0; index < hashes.length; index++) {
      const hash = hashes[index] ?? 0;
      if (hash !== 0) this.#enter(index, hash);
    }
  }
}

function roomFor(signals: number): [hashes: Uint32Array, slots: Uint32Array] {
  const capacity = Math.max(leastCapacity, Math.ceil(signals * growth));
  const slots = 2 ** Math.ceil(Math.log2(capacity / fullest));
  return [new Uint32Array(capacity), new Uint32Array(slots)];
}
