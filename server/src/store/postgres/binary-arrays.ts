/*
 * Arrays as PostgreSQL receives them in its binary form, which the driver passes on as they are: as text every byte of a
 * signal would be two digits that both sides have to work out.
 *
 * The form: number of dimensions, whether there are nulls, the element's type; then for the one dimension its length and its
 * first index; then each element with its length before it, -1 for null.
 */

const oids = { bytea: 17, int8: 20, int4: 23, text: 25 } as const;
const headerBytes = 20;
const lengthBytes = 4;
const nullLength = -1;

/** A `bytea[]`. */
export function byteaArray(values: readonly (Uint8Array | undefined)[]): Buffer {
  return encode(oids.bytea, values);
}

/** A `text[]`. */
export function textArray(values: readonly (string | undefined)[]): Buffer {
  return encode(
    oids.text,
    values.map((value) => (value === undefined ? undefined : Buffer.from(value))),
  );
}

/** An `int8[]`. */
export function int8Array(values: readonly (bigint | undefined)[]): Buffer {
  return encodeNumbers(oids.int8, values, 8, (encoded, value, at) => encoded.writeBigInt64BE(value, at));
}

/** An `int4[]`. */
export function int4Array(values: readonly (number | undefined)[]): Buffer {
  return encodeNumbers(oids.int4, values, 4, (encoded, value, at) => encoded.writeInt32BE(value, at));
}

/** Elements of one length, each written in its place: a buffer for each of them takes longer than all else. */
function encodeNumbers<T>(
  oid: number,
  values: readonly (T | undefined)[],
  length: number,
  write: (encoded: Buffer, value: T, at: number) => void,
): Buffer {
  const encoded = Buffer.allocUnsafe(headerBytes + values.length * (lengthBytes + length));
  let at = writeHeader(encoded, oid, values.length);
  for (const value of values) {
    at = encoded.writeInt32BE(value === undefined ? nullLength : length, at);
    if (value === undefined) continue;
    write(encoded, value, at);
    at += length;
  }
  return encoded.subarray(0, at);
}

function encode(oid: number, elements: readonly (Uint8Array | undefined)[]): Buffer {
  let size = headerBytes;
  for (const element of elements) size += lengthBytes + (element?.length ?? 0);
  const encoded = Buffer.allocUnsafe(size);
  let at = writeHeader(encoded, oid, elements.length);
  for (const element of elements) {
    at = encoded.writeInt32BE(element?.length ?? nullLength, at);
    if (element === undefined) continue;
    encoded.set(element, at);
    at += element.length;
  }
  return encoded;
}

/** Answers where the elements begin. */
function writeHeader(encoded: Buffer, oid: number, length: number): number {
  let at = encoded.writeInt32BE(1);
  at = encoded.writeInt32BE(1, at);
  at = encoded.writeUInt32BE(oid, at);
  at = encoded.writeInt32BE(length, at);
  return encoded.writeInt32BE(1, at);
}
