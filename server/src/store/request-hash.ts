/*
 * HalfSipHash-1-3 (Aumasson and Bernstein, 2012; the variant with words of 32 bits) of a request's key. It is keyed with random
 * bytes of the store, so that nobody can choose request_ids whose hashes are the same; a cryptographic hash would take longer
 * than all else that is done to index a signal.
 */

/** What keys a store's hashes: eight random bytes. */
export type HashSeed = readonly [number, number];

export const seedBytes = 8;

export function seedFromBytes(bytes: Buffer): HashSeed {
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}

/** The hash of a request's key; never 0. */
export function requestHash([k0, k1]: HashSeed, key: string): number {
  const words = key.length >>> 2;
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  // The words, the rest with the length, and three rounds to finish.
  for (let step = 0; step < words + 4; step++) {
    const word = wordAt(key, step, words);
    if (step === words + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return (v1 ^ v3) >>> 0 || 1;
}

/** A word of the key, whose characters are ASCII; behind the last one the rest with the length; then nothing. */
function wordAt(key: string, index: number, words: number): number {
  if (index > words) return 0;
  const at = index << 2;
  if (index < words) {
    return (
      key.charCodeAt(at) |
      (key.charCodeAt(at + 1) << 8) |
      (key.charCodeAt(at + 2) << 16) |
      (key.charCodeAt(at + 3) << 24)
    );
  }
  let word = key.length << 24;
  for (let offset = 0; at + offset < key.length; offset++) word |= key.charCodeAt(at + offset) << (offset << 3);
  return word;
}
