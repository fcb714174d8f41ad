import { Code, ConnectError } from "@connectrpc/connect";
import { frameHeaderBytes } from "./grpc-frame.js";

/** What is told of the messages that are found. */
export interface FrameEvents {
  /** A message has arrived. Its bytes are part of the network's buffer: to be read, not kept for long. */
  onMessage(message: Buffer): void;
  /** The first bytes of a message that comes in pieces have arrived, if there are more than its header. */
  onBegin?(firstBytes: Buffer): void;
}

/**
 * Finds the messages in the bytes of a gRPC stream, however they were cut on the way. A message that came in one piece is not
 * copied, one in several pieces once.
 */
export class FrameAssembler {
  readonly #maxMessageBytes: number;
  readonly #events: FrameEvents;
  /** What has come of a frame that is not complete. */
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxMessageBytes: number, events: FrameEvents) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#events = events;
  }

  /** Whether it holds a part of a message. */
  get isInside(): boolean {
    return this.#bytes > 0;
  }

  /** Takes the next bytes. Throws ConnectError for a message that is compressed or too large. */
  push(piece: Buffer): void {
    if (this.#bytes === 0) {
      const rest = this.#takeFrames(piece);
      this.#keep(rest);
      if (rest.length > frameHeaderBytes) this.#events.onBegin?.(rest.subarray(frameHeaderBytes));
      return;
    }
    this.#keep(piece);
    if (this.#bytes < this.#wantedBytes()) return;
    const bytes = Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    this.#keep(this.#takeFrames(bytes));
  }

  /** Hands on the messages that are complete; returns the rest. */
  #takeFrames(bytes: Buffer): Buffer {
    let start = 0;
    while (bytes.length - start >= frameHeaderBytes) {
      const end = start + frameHeaderBytes + this.#lengthAt(bytes, start);
      if (end > bytes.length) break;
      this.#events.onMessage(bytes.subarray(start + frameHeaderBytes, end));
      start = end;
    }
    return start === 0 ? bytes : bytes.subarray(start);
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#pieces.push(rest);
    this.#bytes += rest.length;
  }

  /** Bytes of the frame that has begun, as far as is known. */
  #wantedBytes(): number {
    let [first = noBytes] = this.#pieces;
    if (first.length < frameHeaderBytes) {
      if (this.#bytes < frameHeaderBytes) return frameHeaderBytes;
      first = Buffer.concat(this.#pieces, this.#bytes);
      this.#pieces = [first];
    }
    return frameHeaderBytes + this.#lengthAt(first, 0);
  }

  #lengthAt(bytes: Buffer, start: number): number {
    if (bytes[start] !== 0) throw new ConnectError("message is compressed, which was not asked for", Code.Internal);
    const length = bytes.readUInt32BE(start + 1);
    if (length <= this.#maxMessageBytes) return length;
    const text = `message is ${length} bytes, limit is ${this.#maxMessageBytes}`;
    throw new ConnectError(text, Code.ResourceExhausted);
  }
}

const noBytes = Buffer.alloc(0);
