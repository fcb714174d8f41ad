import { isUtf8 } from "node:buffer";

/*
 * Reads protobuf in the one form that this server's own encoder writes: fields in the order of their numbers, nothing that says
 * what absence says, numbers as short as they can be. Bytes in that form can be stored as they are. Whatever else comes ends the
 * reading: it is then read by the library, which knows every form. Reading makes no objects and throws nothing.
 */

const isAlphanumeric = 1;
const isInId = 2;
const isPrintable = 4;
const isControl = 8;
const kinds = new Uint8Array(256).map((_, byte) => {
  const character = String.fromCharCode(byte);
  const alphanumeric = /[A-Za-z0-9]/.test(character) ? isAlphanumeric : 0;
  const inId = /[A-Za-z0-9._:/-]/.test(character) ? isInId : 0;
  const printable = byte >= 0x20 && byte <= 0x7e ? isPrintable : 0;
  return alphanumeric | inId | printable | (byte < 0x20 || byte === 0x7f ? isControl : 0);
});

/** Texts longer than this are checked natively, which costs a call. */
const maxScannedText = 256;
const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);

/** A place in bytes that are read once, from the front. */
export class PlainReader {
  readonly bytes: Uint8Array;
  at: number;
  end: number;
  /** The content of the field that was read last. */
  start = 0;
  stop = 0;
  /** False once something was found that is not in the plain form; what was read since means nothing. */
  isPlain = true;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Reads from here on. */
  restart(start: number, end: number): void {
    this.at = start;
    this.end = end;
    this.isPlain = true;
  }

  /** Ends the reading. */
  give(): false {
    this.isPlain = false;
    this.at = this.end;
    return false;
  }

  /** Ends the reading unless this holds. */
  expect(holds: boolean): void {
    if (!holds) this.give();
  }

  /** Takes a byte if it comes next. */
  takes(byte: number): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== byte) return false;
    this.at += 1;
    return true;
  }

  /** Takes bytes that are the same as another stretch if they come next. */
  takesSame(start: number, stop: number): boolean {
    const { bytes, at } = this;
    if (at + stop - start > this.end) return false;
    for (let offset = 0; offset < stop - start; offset++) {
      if (bytes[at + offset] !== bytes[start + offset]) return false;
    }
    this.at = at + stop - start;
    return true;
  }

  /** Takes a field's content, behind its length, if this tag comes next. */
  takesField(tag: number): boolean {
    return this.takes(tag) && this.takesContent();
  }

  /** Takes a length and as many bytes. */
  takesContent(): boolean {
    const length = this.#length();
    this.start = this.at;
    this.stop = this.at + length;
    if (!this.isPlain || this.stop > this.end) return this.give();
    this.at = this.stop;
    return true;
  }

  /** Goes on inside the content that was taken last. Answers what `leave` has to be told. */
  enter(): number {
    const outerEnd = this.end;
    this.end = this.stop;
    this.at = this.start;
    return outerEnd;
  }

  /** Goes on behind the content that was entered, all of which has to have been read. */
  leave(outerEnd: number): void {
    if (this.at !== this.end) this.isPlain = false;
    this.end = outerEnd;
    if (!this.isPlain) this.at = outerEnd;
  }

  /** Takes a number of at most 2^49 - 1. */
  number(): number {
    let value = 0;
    let factor = 1;
    for (let count = 1; count <= 7 && this.at < this.end; count++) {
      const byte = this.bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        // A zero behind others could be left out.
        if (byte === 0 && count > 1) break;
        return value;
      }
      factor *= 0x80;
    }
    this.give();
    return 0;
  }

  /** Takes eight bytes as a number. */
  double(): number {
    if (this.at + 8 > this.end) this.give();
    for (let index = 0; index < 8; index++) doubleBytes[index] = this.bytes[this.at + index] ?? 0;
    this.at += 8;
    return double[0] ?? 0;
  }

  /** Whether the content is an id of the contract. */
  isId(): boolean {
    const { bytes, start, stop } = this;
    if (stop - start > 200 || !is(bytes[start], isAlphanumeric) || stop === start) return false;
    for (let at = start + 1; at < stop; at++) if (!is(bytes[at], isInId)) return false;
    return true;
  }

  /** Whether the content is printable ASCII of 1 to this many characters. */
  isPrintable(maxLength: number): boolean {
    const { bytes, start, stop } = this;
    if (stop === start || stop - start > maxLength) return false;
    for (let at = start; at < stop; at++) if (!is(bytes[at], isPrintable)) return false;
    return true;
  }

  /** Whether the content is text of 1 to this many bytes. */
  isText(maxBytes = Number.POSITIVE_INFINITY): boolean {
    return this.stop > this.start && this.stop - this.start <= maxBytes && this.isTextOrEmpty();
  }

  /** As `isText`, and no character of it is a control character. */
  isName(maxBytes: number): boolean {
    const { bytes, start, stop } = this;
    for (let at = start; at < stop; at++) if (is(bytes[at], isControl)) return false;
    return this.isText(maxBytes);
  }

  /** Whether the content is text of at most this many bytes. */
  isTextOrEmpty(maxBytes = Number.POSITIVE_INFINITY): boolean {
    const { bytes, start, stop } = this;
    if (stop - start > maxBytes) return false;
    if (stop - start > maxScannedText) return isUtf8(bytes.subarray(start, stop));
    for (let at = start; at < stop; at++) {
      if ((bytes[at] ?? 0) > 0x7f) return isUtf8(bytes.subarray(start, stop));
    }
    return true;
  }

  /** The content as a string; only for ASCII. */
  ascii(): string {
    return Buffer.prototype.latin1Slice.call(this.bytes, this.start, this.stop);
  }

  /** Whether the content is the same as another stretch of the bytes. */
  isSame(start: number, stop: number): boolean {
    if (this.stop - this.start !== stop - start) return false;
    for (let at = 0; at < stop - start; at++) if (this.bytes[this.start + at] !== this.bytes[start + at]) return false;
    return true;
  }

  #length(): number {
    const byte = this.bytes[this.at] ?? 0;
    if (byte > 0x7f || this.at >= this.end) return this.number();
    this.at += 1;
    return byte;
  }
}

function is(byte: number | undefined, kind: number): boolean {
  return ((kinds[byte ?? 0] ?? 0) & kind) !== 0;
}
