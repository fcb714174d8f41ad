/**
 * Writes protobuf's wire format into memory that many messages share. Texts are written character by character: nearly all
 * are short and ASCII, and a call into native code for each costs more. The size of what is written must be bounded by the
 * caller before it begins.
 */
export class FieldWriter {
  #memory = new Uint8Array(0);
  #view = new DataView(this.#memory.buffer);
  #start = 0;
  #position = 0;

  /** Begins a message of at most so many bytes. */
  begin(maxBytes: number): void {
    if (this.#memory.length - this.#position < maxBytes) {
      this.#memory = new Uint8Array(Math.max(maxBytes, sharedBytes));
      this.#view = new DataView(this.#memory.buffer);
      this.#position = 0;
    }
    this.#start = this.#position;
  }

  /** Ends the message and returns it. */
  finish(): Uint8Array {
    return this.#memory.subarray(this.#start, this.#position);
  }

  number(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#memory[this.#position++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#memory[this.#position++] = rest;
  }

  uint64(value: bigint): void {
    let rest = value;
    while (rest >= 0x80n) {
      this.#memory[this.#position++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#memory[this.#position++] = Number(rest);
  }

  double(value: number): void {
    this.#view.setFloat64(this.#position, value, true);
    this.#position += 8;
  }

  bytes(bytes: Uint8Array): void {
    this.#memory.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  /** A text behind its length. */
  text(text: string): void {
    const { length } = text;
    const start = this.#position;
    this.number(length);
    const memory = this.#memory;
    let at = this.#position;
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) {
        this.#position = start;
        this.#encodedText(text);
        return;
      }
      memory[at++] = code;
    }
    this.#position = at;
  }

  /** Writes a message in a field, whatever its length turns out to be. */
  beginMessage(): number {
    // Most are shorter than 128 bytes, or moving them costs little.
    this.#position += 1;
    return this.#position;
  }

  /** Ends the message that began there. */
  endMessage(start: number): void {
    const end = this.#position;
    const length = end - start;
    const lengthBytes = bytesOfNumber(length);
    if (lengthBytes > 1) this.#memory.copyWithin(start + lengthBytes - 1, start, end);
    this.#position = start - 1;
    this.number(length);
    this.#position += length;
  }

  #encodedText(text: string): void {
    const encoded = encoder.encode(text);
    this.number(encoded.length);
    this.bytes(encoded);
  }
}

/** Memory that is made at once: little enough to be held by one message of it that waits long. */
const sharedBytes = 16 * 1024;
const encoder = new TextEncoder();

/** How many bytes a number takes. */
export function bytesOfNumber(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}
