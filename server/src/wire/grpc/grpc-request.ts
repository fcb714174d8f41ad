import type { ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { grpcFrameHeaderBytes } from "../../rpc/grpc-frame.js";
import { requestCutOff } from "../end-of-call.js";
import { MessageAssembler } from "../message-assembler.js";
import type { PortLimits } from "../port-limits.js";
import type { PortObserver } from "../port-observer.js";
import type { RequestMemory } from "../request-memory.js";
import { WireRefusal } from "../wire-refusal.js";

/** What all calls of a port share. */
export interface GrpcEnvironment {
  readonly limits: PortLimits;
  readonly memory: RequestMemory;
  readonly observer: PortObserver;
}

/** Whose request is read. */
export interface RequestOwner {
  /** Called when something changed: a message is there, or the request is complete or has failed. */
  requestChanged(): void;
}

/** Bytes of whole messages that may wait for a service; beyond them the client is held back. */
const maxWaitingBytes = 64 * 1024;

/**
 * The request side of one gRPC call: puts messages together and keeps them until they are asked for. Fails when the request
 * is cut off: a truncated message that happens to decode must not be executed.
 */
export class GrpcRequest {
  readonly #stream: ServerHttp2Stream;
  readonly #environment: GrpcEnvironment;
  readonly #owner: RequestOwner;
  #assembler: MessageAssembler | undefined;
  #frames: Uint8Array[] = [];
  #waitingBytes = 0;
  #failure: ConnectError | undefined;
  #isComplete = false;

  constructor(stream: ServerHttp2Stream, environment: GrpcEnvironment, owner: RequestOwner) {
    this.#stream = stream;
    this.#environment = environment;
    this.#owner = owner;
  }

  /** Frames that have arrived and were not taken. */
  get waitingFrames(): number {
    return this.#frames.length;
  }

  /** Whether the request has arrived in full. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Why no more will come, once something has failed. */
  get failure(): ConnectError | undefined {
    return this.#failure;
  }

  /** Whether more is to come. */
  get isArriving(): boolean {
    return !this.#isComplete && this.#failure === undefined;
  }

  /** Takes the next frame that has arrived, header and all; undefined when there is none. */
  takeFrame(): Uint8Array | undefined {
    const frame = this.#frames.shift();
    this.#waitingBytes -= frame?.byteLength ?? 0;
    if (this.#waitingBytes === 0 && this.#stream.isPaused()) this.#stream.resume();
    return frame;
  }

  /** Takes bytes as they arrive. */
  push(piece: Buffer): void {
    if (!this.isArriving) return;
    try {
      this.#collect(piece);
    } catch (error) {
      if (!(error instanceof WireRefusal)) throw error;
      this.fail(error);
      return;
    }
    if (this.#waitingBytes > maxWaitingBytes) this.#stream.pause();
    if (this.#frames.length > 0) this.#owner.requestChanged();
  }

  /** Notes that nothing more will come. */
  end(): void {
    if (!this.isArriving) return;
    // A reset stream ends as if it were complete; only these two tell the difference.
    if (this.#stream.aborted || this.#stream.rstCode !== 0) {
      this.fail(requestCutOff());
      return;
    }
    if (this.#assembler?.finish() === undefined) this.#isComplete = true;
    else this.#failure = new ConnectError("request ends within a message", Code.InvalidArgument);
    this.#assembler?.clear();
    this.#owner.requestChanged();
  }

  /** Ends reading with `refusal`, which the reader gets after what had arrived in full. */
  fail(refusal: WireRefusal): void {
    if (!this.isArriving) return;
    this.#failure = refusal.toConnectError();
    if (refusal.reason !== "CANCELLED") this.#environment.observer.callRefused?.(refusal.reason);
    this.#assembler?.clear();
    this.#owner.requestChanged();
  }

  /** Takes no more and gives back the memory; what still comes is thrown away until the stream is reset. */
  discard(): void {
    // Asked first: an error costs as much as the rest of a short call.
    if (this.isArriving) this.fail(requestCutOff());
    this.#frames = [];
    this.#waitingBytes = 0;
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  #collect(piece: Buffer): void {
    const { limits, memory } = this.#environment;
    const maxMessageBytes = limits.maxRequestBytes;
    if (this.#assembler === undefined && isOneFrame(piece, maxMessageBytes)) {
      this.#keep(piece);
      return;
    }
    this.#assembler ??= new MessageAssembler({ maxMessageBytes, memory, enveloped: true });
    for (const chunk of this.#assembler.push(piece)) {
      for (let start = 0; start < chunk.byteLength; ) {
        const end = start + frameBytesAt(chunk, start);
        this.#keep(chunk.subarray(start, end));
        start = end;
      }
    }
  }

  #keep(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#waitingBytes += frame.byteLength;
  }
}

/** What nearly every unary request is, and nothing has to be put together for. */
function isOneFrame(piece: Uint8Array, maxMessageBytes: number): boolean {
  const length = piece.byteLength;
  if (length < grpcFrameHeaderBytes || length - grpcFrameHeaderBytes > maxMessageBytes) return false;
  return frameBytesAt(piece, 0) === length;
}

function frameBytesAt(bytes: Uint8Array, start: number): number {
  const at = (index: number) => bytes[start + index] ?? 0;
  return grpcFrameHeaderBytes + (((at(1) << 24) | (at(2) << 16) | (at(3) << 8) | at(4)) >>> 0);
}
