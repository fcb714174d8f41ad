/** Numbers above this are written in steps of 7 bits of a bigint. */
const maxNumber = BigInt(Number.MAX_SAFE_INTEGER);

/** Writes a number as protobuf does, in 1 to 10 bytes. Answers the offset behind it. */
export function writeVarint(bytes: Uint8Array, start: number, value: bigint): number {
  let offset = start;
  let rest = value;
  while (rest > maxNumber) {
    bytes[offset++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  return writeSmallVarint(bytes, offset, Number(rest));
}

/** As `writeVarint`, for a safe integer. */
export function writeSmallVarint(bytes: Uint8Array, start: number, value: number): number {
  let offset = start;
  let rest = value;
  while (rest > 0x7f) {
    bytes[offset++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[offset++] = rest;
  return offset;
}

/** How many bytes a number takes. */
export function varintBytes(value: bigint): number {
  let count = 0;
  let rest = value;
  for (; rest > maxNumber; rest >>= 7n) count += 1;
  return count + smallVarintBytes(Number(rest));
}

/** As `varintBytes`, for a safe integer. */
export function smallVarintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) count += 1;
  return count;
}
