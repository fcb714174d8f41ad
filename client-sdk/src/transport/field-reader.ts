/**
 * Reads protobuf's wire format. Texts of a section are decoded in one go, as what nearly all are, ASCII, and then cut out of
 * it: a call into native code for each costs more than all the rest of a signal. A text that comes again and again is
 * compared instead of made anew.
 */
export class FieldReader {
  #bytes: LatinBuffer = noBytes;
  #view: DataView | undefined;
  /** Where the next field is read. */
  position = 0;
  #section = "";
  #sectionStart = 0;
  #sectionEnd = 0;

  /** Begins to read other bytes. */
  begin(bytes: Uint8Array): void {
    const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bytes = buffer as LatinBuffer;
    this.#view = undefined;
    this.position = 0;
    this.#sectionEnd = 0;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Says that the texts up to here will be asked for. */
  beginSection(end: number): void {
    this.#section = this.#bytes.latin1Slice(this.position, end);
    this.#sectionStart = this.position;
    this.#sectionEnd = end;
  }

  /** A number that JavaScript can hold exactly; throws RangeError for a greater one. */
  number(): number {
    const bytes = this.#bytes;
    const first = bytes[this.position++];
    if (first === undefined) throw new RangeError("message ends inside a number");
    return first < 0x80 ? first : this.#longNumber(first & 0x7f);
  }

  /** Where the message ends that begins here with its length. */
  messageEnd(): number {
    const length = this.number();
    const end = this.position + length;
    if (end > this.#bytes.length) throw new RangeError(`message of ${length} bytes ends behind its batch`);
    return end;
  }

  bytes(): Uint8Array {
    const end = this.messageEnd();
    const bytes = this.#bytes.subarray(this.position, end);
    this.position = end;
    return bytes;
  }

  slice(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  text(): string {
    const end = this.messageEnd();
    const start = this.position;
    this.position = end;
    if (end > this.#sectionEnd || !this.#isAscii(start, end)) return this.#bytes.toString("utf8", start, end);
    return this.#section.slice(start - this.#sectionStart, end - this.#sectionStart);
  }

  /** A text that is most likely to be the same as another one. */
  textLike(last: string): string {
    const start = this.position;
    const end = this.messageEnd();
    if (end - this.position === last.length && this.#isText(last)) {
      this.position = end;
      return last;
    }
    this.position = start;
    return this.text();
  }

  uint64(): bigint {
    return BigInt(this.number());
  }

  double(): number {
    const bytes = this.#bytes;
    this.#view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const value = this.#view.getFloat64(this.position, true);
    this.position += 8;
    return value;
  }

  #longNumber(low: number): number {
    let value = low;
    let scale = 0x80;
    for (;;) {
      const byte = this.#bytes[this.position++];
      if (byte === undefined) throw new RangeError("message ends inside a number");
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError("number is greater than what can be held exactly");
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  #isAscii(start: number, end: number): boolean {
    const bytes = this.#bytes;
    let bits = 0;
    // To look at all of a text costs less than to decide at each of its bytes.
    for (let at = start; at < end; at += 1) bits |= bytes[at] ?? 0;
    return bits < 0x80;
  }

  /** Whether this text stands here; false too for one that is not ASCII. */
  #isText(text: string): boolean {
    const bytes = this.#bytes;
    const start = this.position;
    for (let at = 0; at < text.length; at += 1) {
      const byte = bytes[start + at];
      if (byte !== text.charCodeAt(at) || byte >= 0x80) return false;
    }
    return true;
  }
}

/** A buffer with what its `toString("latin1")` calls: a third of a section's cost is the way there. */
interface LatinBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
}

const noBytes = Buffer.alloc(0) as LatinBuffer;
