import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { FrameStream } from "../../rpc/frame-method.js";
import { ResponseProgress } from "../response-progress.js";

/** Bytes handed to Node.js at once: the grain in which a client's progress can be seen. */
const maxWriteBytes = 64 * 1024;

const wantsTrailers = { waitForTrailers: true } as const;

/**
 * The response side of one gRPC call. Frames written in one turn of the event loop leave in one write, at most 64 KiB at a
 * time; what the client does not take waits here.
 */
export class GrpcResponse {
  readonly #stream: ServerHttp2Stream;
  readonly #contentType: string;
  readonly progress: ResponseProgress;
  /** What is told when the client takes more. */
  feeder: FrameStream | undefined;
  #header: Headers | undefined;
  #trailer: Headers | undefined;
  #frames: Uint8Array[] = [];
  #waitingBytes = 0;
  #isScheduled = false;
  #trailers: OutgoingHttpHeaders | undefined;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(stream: ServerHttp2Stream, contentType: string, nowMs: number) {
    this.#stream = stream;
    this.#contentType = contentType;
    this.progress = new ResponseProgress(nowMs);
  }

  /** Headers that a service adds; of use before the first frame. */
  get header(): Headers {
    this.#header ??= new Headers();
    return this.#header;
  }

  /** Trailers that a service adds. */
  get trailer(): Headers {
    this.#trailer ??= new Headers();
    return this.#trailer;
  }

  /** Trailers that a service has added, if any. */
  get addedTrailer(): Headers | undefined {
    return this.#trailer;
  }

  /** Whether its status is decided. */
  get isFinished(): boolean {
    return this.#trailers !== undefined;
  }

  /** Whether nobody is there to read it any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the client keeps up. */
  get isReady(): boolean {
    return this.#isClosed || (this.#waitingBytes < maxWriteBytes && !this.#stream.writableNeedDrain);
  }

  /** Takes whole frames. */
  write(frames: Uint8Array): void {
    if (this.#isClosed || this.isFinished) return;
    this.#keep(frames);
    if (this.#waitingBytes >= maxWriteBytes) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      process.nextTick(flushLater, this);
    }
  }

  /** Resolves when the client has accepted what was written, or the call has ended. */
  async drained(): Promise<void> {
    while (!this.isReady) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends the response with these trailers, behind what was written. */
  finish(trailers: OutgoingHttpHeaders, lastFrame?: Uint8Array): void {
    if (this.#isClosed || this.isFinished) return;
    if (lastFrame !== undefined) this.#keep(lastFrame);
    this.#trailers = trailers;
    this.flush();
  }

  /**
   * Ends the response with an error's trailers, behind what was written. Where nothing was, they are all of it, in the place of
   * headers: a client repeats a call by its retry policy only as long as no headers have come.
   */
  fail(trailers: OutgoingHttpHeaders): void {
    const stream = this.#stream;
    const hasBegun = stream.headersSent || this.#frames.length > 0 || this.#header !== undefined;
    if (this.isFinished) return;
    if (hasBegun || this.#isClosed || stream.destroyed || stream.closed) {
      this.finish(trailers);
      return;
    }
    this.#trailers = trailers;
    stream.respond({ ...this.#ownHeaders, ...trailers }, { endStream: true });
    this.#stopRequestSoon();
  }

  /** Hands to Node.js what it takes now. */
  flush(): void {
    this.#isScheduled = false;
    const stream = this.#stream;
    if (this.#isClosed || stream.destroyed || stream.closed) return;
    if (!stream.headersSent) this.#sendHeaders();
    while (this.#frames.length > 0 && !stream.writableNeedDrain) {
      const part = this.#takePart();
      this.#waitingBytes -= part.byteLength;
      this.progress.wrote(part.byteLength);
      if (this.isFinished && this.#frames.length === 0) return void stream.end(part);
      stream.write(part);
    }
    if (this.isFinished && this.#frames.length === 0) stream.end();
    else if (this.isReady) this.#notify();
  }

  /** Sends the trailers; called when Node.js asks for them. */
  sendTrailers(): void {
    this.#stream.sendTrailers(this.#trailers ?? {});
    this.#stopRequestSoon();
  }

  /** Drops what waits: nobody is there to read it. */
  markClosed(): void {
    this.#isClosed = true;
    this.#frames = [];
    this.#waitingBytes = 0;
    this.#notify();
  }

  #keep(frames: Uint8Array): void {
    this.#frames.push(frames);
    this.#waitingBytes += frames.byteLength;
  }

  #sendHeaders(): void {
    const own = this.#ownHeaders;
    const added = this.#header;
    this.#stream.respond(added === undefined ? own : { ...Object.fromEntries(added), ...own }, wantsTrailers);
  }

  get #ownHeaders(): OutgoingHttpHeaders {
    return { ":status": 200, "content-type": this.#contentType };
  }

  #stopRequestSoon(): void {
    const stream = this.#stream;
    if (!stream.endAfterHeaders && !stream.readableEnded) setImmediate(stopRequest, stream);
  }

  #takePart(): Uint8Array {
    const [first = noBytes] = this.#frames;
    if (first.byteLength > maxWriteBytes) {
      this.#frames[0] = first.subarray(maxWriteBytes);
      return first.subarray(0, maxWriteBytes);
    }
    let count = 0;
    let bytes = 0;
    for (const frame of this.#frames) {
      if (count > 0 && bytes + frame.byteLength > maxWriteBytes) break;
      bytes += frame.byteLength;
      count += 1;
    }
    const part = count === 1 ? first : Buffer.concat(this.#frames.slice(0, count), bytes);
    this.#frames = count === this.#frames.length ? [] : this.#frames.slice(count);
    return part;
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
    this.feeder?.resume();
  }
}

const noBytes = new Uint8Array();

function flushLater(response: GrpcResponse): void {
  response.flush();
}

/**
 * Cuts off, without fault (RFC 9113, 8.1), a request that goes on after its answer: its stream would stay open. Called once
 * the trailers are written, for a reset any earlier would overtake them.
 */
function stopRequest(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
}
