import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { requestCutOff } from "./end-of-call.js";
import { MessageAssembler, type MessageAssemblerOptions } from "./message-assembler.js";
import { WireRefusal } from "./wire-refusal.js";

/** What reading a body is told. */
export interface RequestBodyOptions extends MessageAssemblerOptions {
  /** Called once when the port refuses the request, with the reason. */
  readonly onRefused: (reason: string) => void;
}

/**
 * The body of one request as whole messages, for one reader. Nothing is read before the first `next()`, and the peer is
 * held back while the reader is busy. Ends with an error when the request is cut off: a truncated message that happens to
 * decode must not be executed.
 */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #request: IncomingMessage | Http2ServerRequest;
  readonly #options: RequestBodyOptions;
  readonly #assembler: MessageAssembler;
  readonly #ready: Uint8Array[] = [];
  #failure: Error | undefined;
  #started = false;
  #complete = false;
  #wake: (() => void) | undefined;

  constructor(request: IncomingMessage | Http2ServerRequest, options: RequestBodyOptions) {
    this.#request = request;
    this.#options = options;
    this.#assembler = new MessageAssembler(options);
  }

  /** Whether reading has begun and the request has not arrived in full, nor failed. */
  get isArriving(): boolean {
    return this.#started && !this.#complete && this.#failure === undefined;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.discard();
        return { done: true, value: undefined };
      },
    };
  }

  /** Ends reading with `refusal`, which the reader gets after what had arrived in full. */
  fail(refusal: WireRefusal): void {
    if (this.#complete || this.#failure !== undefined) return;
    this.#failure = refusal.toConnectError();
    if (refusal.reason !== "CANCELLED") this.#options.onRefused(refusal.reason);
    this.#release();
    this.#request.pause();
  }

  /**
   * Reads no more and gives back the memory. What still comes over HTTP/1.1 is thrown away, because the peer may be unable
   * to read the answer before it has written its request; over HTTP/2 the stream is reset after the answer instead.
   */
  discard(): void {
    this.fail(requestCutOff());
    this.#ready.length = 0;
    if (!("stream" in this.#request)) this.#request.resume();
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#started) this.#start();
    for (;;) {
      const chunk = this.#ready.shift();
      if (chunk !== undefined) return { done: false, value: chunk };
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#complete) return { done: true, value: undefined };
      this.#request.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #start(): void {
    this.#started = true;
    this.#request.on("data", this.#onData);
    this.#request.on("end", this.#onEnd);
    this.#request.on("close", this.#onClose);
  }

  #release(): void {
    this.#request.off("data", this.#onData);
    this.#request.off("end", this.#onEnd);
    this.#request.off("close", this.#onClose);
    this.#assembler.clear();
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  readonly #onData = (piece: Uint8Array): void => {
    try {
      const chunks = this.#assembler.push(piece);
      if (chunks.length === 0) return;
      this.#ready.push(...chunks);
      this.#request.pause();
      this.#notify();
    } catch (error) {
      if (!(error instanceof WireRefusal)) throw error;
      this.fail(error);
    }
  };

  readonly #onEnd = (): void => {
    // Over HTTP/2 a reset stream ends as if it were complete; only these two tell the difference.
    if (this.#request.aborted || ("stream" in this.#request && this.#request.stream.rstCode !== 0)) {
      this.fail(requestCutOff());
      return;
    }
    const rest = this.#assembler.finish();
    if (rest !== undefined) this.#ready.push(rest);
    this.#complete = true;
    this.#release();
  };

  readonly #onClose = (): void => this.fail(requestCutOff());
}
