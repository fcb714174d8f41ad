/*
 * gRPC's framing (its "Length-Prefixed-Message"): a byte that says whether the message is compressed, four bytes of its
 * length, the message. Copies a message's bytes at most once, however they were cut on the way.
 */

const headerBytes = 5;

/** Puts a frame around a message. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, headerBytes);
  return frame;
}

/** Finds the frames in a stream of bytes and calls back with each message. Larger ones than the limit are an error. */
export class FrameReader {
  readonly #maxMessageBytes: number;
  readonly #onMessage: (message: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(maxMessageBytes: number, onMessage: (message: Buffer) => void) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#onMessage = onMessage;
  }

  /** Takes the next bytes. Throws for a message above the limit. */
  read(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted()) return;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    let position = 0;
    while (bytes.length - position >= headerBytes) {
      const end = position + headerBytes + this.#lengthAt(bytes, position);
      if (end > bytes.length) break;
      this.#onMessage(bytes.subarray(position + headerBytes, end));
      position = end;
    }
    this.#rest = bytes.subarray(position);
    this.#chunks = this.#rest.length > 0 ? [this.#rest] : [];
    this.#bytes = this.#rest.length;
  }

  /** Bytes that complete the next frame, as far as is known. */
  #wanted(): number {
    return this.#rest.length >= headerBytes ? headerBytes + this.#lengthAt(this.#rest, 0) : headerBytes;
  }

  #lengthAt(bytes: Buffer, position: number): number {
    const length = bytes.readUInt32BE(position + 1);
    if (length > this.#maxMessageBytes)
      throw new Error(`message is ${length} bytes, limit is ${this.#maxMessageBytes}`);
    return length;
  }
}
