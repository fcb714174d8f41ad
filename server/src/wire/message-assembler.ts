/**
 * Puts requests together before the protocol library sees them. The library allocates what a 5-byte header claims, and
 * its cost is quadratic in the number of pieces a message arrives in; so it is only given whole messages, and a message
 * that arrives in absurdly small pieces is refused. Memory stays below twice what has arrived; cost is linear in it.
 */
import { Code } from "@connectrpc/connect";
import { GrowingBuffer } from "./growing-buffer.js";
import type { RequestMemory } from "./request-memory.js";
import { requestTooLarge, WireRefusal } from "./wire-refusal.js";

/** A message in an envelope begins with one byte of flags and four of length, in gRPC, gRPC-Web and Connect streams. */
const envelopeHeaderBytes = 5;
/** Pieces a message may arrive in however small they are: senders flush a few times, and byte by byte a few headers. */
const freePieces = 1_024;
/** Beyond those, pieces have to hold this much on average: a network packet holds twenty times as much. */
const leastAveragePieceBytes = 64;

/** What an assembler is told. */
export interface MessageAssemblerOptions {
  /** Whether messages come in envelopes, or the whole body is one message. */
  readonly enveloped: boolean;
  /** The largest message, without its envelope. */
  readonly maxMessageBytes: number;
  readonly memory: RequestMemory;
}

/** Turns a body in pieces into chunks that end where a message ends. Not for concurrent use. */
export class MessageAssembler {
  readonly #options: MessageAssemblerOptions;
  readonly #partial: GrowingBuffer;
  #pieces = 0;

  constructor(options: MessageAssemblerOptions) {
    this.#options = options;
    this.#partial = new GrowingBuffer(options.memory);
  }

  /**
   * Takes the next piece and returns the chunks it completes, each of one or several whole messages. The chunks may share
   * memory with the piece. Throws a refusal for a message that is too large or in too many pieces, and when the port's
   * memory for unfinished requests is used up.
   */
  push(piece: Uint8Array): Uint8Array[] {
    this.#countPiece(piece.byteLength);
    if (this.#options.enveloped) return this.#pushEnveloped(piece);
    const length = this.#partial.length + piece.byteLength;
    if (length > this.#options.maxMessageBytes) throw requestTooLarge(length, this.#options.maxMessageBytes);
    this.#keep(piece);
    return [];
  }

  /** Returns what is left when the body has ended: the message, or of envelopes the part of one that was cut off. */
  finish(): Uint8Array | undefined {
    return this.#partial.length === 0 ? undefined : this.#partial.take();
  }

  /** Gives back the memory it holds. */
  clear(): void {
    this.#partial.clear();
  }

  #pushEnveloped(piece: Uint8Array): Uint8Array[] {
    const chunks: Uint8Array[] = [];
    let start = 0;
    if (this.#partial.length > 0) {
      start = this.#fillPartial(piece);
      if (this.#partialIsComplete()) chunks.push(this.#partial.take());
    }
    const end = this.#lastEnvelopeEnd(piece, start);
    if (end > start) chunks.push(piece.subarray(start, end));
    if (chunks.length > 0) this.#pieces = 0;
    if (end < piece.byteLength) this.#keep(piece.subarray(end));
    return chunks;
  }

  /** Adds to the partial envelope what of `piece` belongs to it; returns where the rest begins. */
  #fillPartial(piece: Uint8Array): number {
    const headerPart = Math.min(piece.byteLength, Math.max(0, envelopeHeaderBytes - this.#partial.length));
    this.#keep(piece.subarray(0, headerPart));
    if (this.#partial.length < envelopeHeaderBytes) return headerPart;
    const missing = this.#partialEnvelopeBytes() - this.#partial.length;
    const end = Math.min(piece.byteLength, headerPart + missing);
    this.#keep(piece.subarray(headerPart, end));
    return end;
  }

  #partialIsComplete(): boolean {
    return this.#partial.length >= envelopeHeaderBytes && this.#partial.length === this.#partialEnvelopeBytes();
  }

  #partialEnvelopeBytes(): number {
    return this.#envelopeBytes((index) => this.#partial.at(index));
  }

  /** Where the last whole envelope of `piece` from `start` on ends; `start` when there is none. */
  #lastEnvelopeEnd(piece: Uint8Array, start: number): number {
    let end = start;
    while (piece.byteLength - end >= envelopeHeaderBytes) {
      const next = end + this.#envelopeBytes((index) => piece[end + index] ?? 0);
      if (next > piece.byteLength) break;
      end = next;
    }
    return end;
  }

  #envelopeBytes(byteAt: (index: number) => number): number {
    const length = ((byteAt(1) << 24) | (byteAt(2) << 16) | (byteAt(3) << 8) | byteAt(4)) >>> 0;
    if (length > this.#options.maxMessageBytes) throw requestTooLarge(length, this.#options.maxMessageBytes);
    return envelopeHeaderBytes + length;
  }

  #keep(part: Uint8Array): void {
    if (this.#partial.append(part)) return;
    const { limitBytes } = this.#options.memory;
    throw new WireRefusal({
      reason: "RATE_LIMITED",
      code: Code.ResourceExhausted,
      message: `unfinished requests of all clients hold their limit of ${limitBytes} bytes`,
      metadata: { limit_bytes: String(limitBytes) },
      retryAfterSeconds: 1,
    });
  }

  #countPiece(bytes: number): void {
    this.#pieces += 1;
    const allowed = freePieces + (this.#partial.length + bytes) / leastAveragePieceBytes;
    if (this.#pieces <= allowed) return;
    throw new WireRefusal({
      reason: "INVALID_REQUEST",
      code: Code.ResourceExhausted,
      message: `request arrives in too small pieces: ${this.#pieces} for ${this.#partial.length + bytes} bytes`,
      metadata: { limit_pieces: String(freePieces) },
    });
  }
}
