import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { validateResponse, validateTrailer } from "@connectrpc/connect/protocol-grpc";
import { maxResponseBytes } from "../client-transport.js";
import type { SessionManager } from "../session-manager.js";
import { FrameAssembler, type FrameEvents } from "./frame-assembler.js";

/** Where a call goes. */
export interface GrpcStreamTarget {
  readonly connection: SessionManager;
  readonly path: string;
}

/** How the server is told of a deadline, by its header. */
export interface GrpcDeadline {
  readonly "grpc-timeout": string;
}

/** What a stream tells as it happens. Nothing, once it was cancelled. */
export interface GrpcStreamEvents extends FrameEvents {
  /** Called once, when nothing follows: with `undefined` when the server has ended the stream well. */
  onEnd(thrown: unknown): void;
}

const contentType = "application/grpc+proto";

/**
 * One call of gRPC as its bytes, on the connection that all calls share. Everything that ends it without a status of
 * the server's is an error that tells how the connection was lost.
 */
export class GrpcStream {
  readonly #target: GrpcStreamTarget;
  /** Who is told; nobody once it is over. The stream can be kept long after that, and must keep nothing of the call. */
  #events: GrpcStreamEvents | undefined;
  /** Made when the first bytes come: of a thousand calls that wait for something most have none. */
  #assembler: FrameAssembler | undefined;
  #stream: ClientHttp2Stream | undefined;
  /** Frames that wait for the connection to stand. */
  #early: Uint8Array[] | undefined;
  #isFinished = false;
  #isPaused = false;
  #header: IncomingHttpHeaders | undefined;
  #trailer: IncomingHttpHeaders | undefined;
  #failure: unknown;

  constructor(target: GrpcStreamTarget, events: GrpcStreamEvents, deadline?: GrpcDeadline) {
    this.#target = target;
    this.#events = events;
    const headers = requestHeaders(target.path, deadline);
    const stream = target.connection.requestNow(headers);
    if (stream !== undefined) this.#opened(stream);
    else this.#openLater(headers).catch((error: unknown) => this.#end(error));
  }

  /** Headers of the answer, as far as they have come. */
  get header(): Headers {
    return webHeaders(this.#header ?? {});
  }

  /** Trailers of the answer, as far as they have come. */
  get trailer(): Headers {
    return webHeaders(this.#trailer ?? {});
  }

  /** Sends whole frames. What is sent in one turn of the event loop leaves together. */
  write(frames: Uint8Array): void {
    if (this.#events === undefined || this.#isFinished) return;
    if (this.#stream !== undefined) {
      this.#stream.write(frames);
      return;
    }
    this.#early ??= [];
    this.#early.push(frames);
  }

  /** Says that nothing more will be sent. */
  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#stream?.end();
  }

  /** Holds the server back. */
  pause(): void {
    this.#isPaused = true;
    this.#stream?.pause();
  }

  /** Reads on. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#stream?.resume();
  }

  /** Resets the stream; no event follows. */
  cancel(): void {
    this.#release();
    const stream = this.#stream;
    if (stream !== undefined && !stream.closed) stream.close(constants.NGHTTP2_CANCEL);
  }

  async #openLater(headers: OutgoingHttpHeaders): Promise<void> {
    const stream = await this.#target.connection.request("POST", this.#target.path, headers, {});
    if (this.#events !== undefined) {
      this.#opened(stream);
      return;
    }
    stream.on("error", ignore);
    stream.close(constants.NGHTTP2_CANCEL);
  }

  #opened(stream: ClientHttp2Stream): void {
    this.#stream = stream;
    // Whatever it is, its close follows.
    stream.on("error", (error) => {
      this.#failure ??= error;
    });
    stream.on("response", (header) => this.#takeHeader(header));
    stream.on("trailers", (trailer) => {
      this.#trailer = trailer;
    });
    stream.on("end", () => this.#ended());
    stream.on("close", () => {
      if (this.#events !== undefined) this.#end(this.#whyClosed(stream));
    });
    stream.on("data", (piece: Buffer) => this.#takePiece(piece, stream));
    if (this.#isPaused) stream.pause();
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) for (const frames of early) stream.write(frames);
    if (this.#isFinished) stream.end();
  }

  #takeHeader(header: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    this.#header = header;
    if (isUsual(header)) return;
    try {
      const { headerError } = validateResponse(header[":status"] ?? 0, webHeaders(header));
      if (headerError !== undefined) this.#fail(headerError);
    } catch (error) {
      this.#fail(error);
    }
  }

  #takePiece(piece: Buffer, stream: ClientHttp2Stream): void {
    if (this.#events === undefined) return;
    this.#target.connection.heard(stream);
    this.#assembler ??= this.#createAssembler();
    try {
      this.#assembler.push(piece);
    } catch (error) {
      this.#fail(error);
    }
  }

  // A piece can hold more messages than the call is there for.
  #createAssembler(): FrameAssembler {
    return new FrameAssembler(maxResponseBytes, {
      onMessage: (message) => this.#events?.onMessage(message),
      onBegin: (firstBytes) => this.#events?.onBegin?.(firstBytes),
    });
  }

  /** The server has sent all it wants to. It may do so before this side has: a stream is closed when both have. */
  #ended(): void {
    if (this.#trailer === undefined && this.#header?.["grpc-status"] === undefined) return;
    this.#end(this.#statusError());
    this.finish();
  }

  #statusError(): unknown {
    if (this.#assembler?.isInside) return new ConnectError("incomplete envelope", Code.InvalidArgument);
    if (this.#trailer?.["grpc-status"] === "0") return undefined;
    try {
      validateTrailer(webHeaders(this.#trailer ?? this.#header ?? {}), new Headers());
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #whyClosed(stream: ClientHttp2Stream): unknown {
    const failure = this.#failure;
    // The connection's own, for example that it has not answered a PING.
    if (failure instanceof ConnectError) return failure;
    if (failure !== undefined) {
      return new ConnectError(messageOf(failure), Code.Internal, undefined, undefined, failure);
    }
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return new ConnectError("the stream was reset", Code.Canceled);
    return new ConnectError("missing status", Code.Internal);
  }

  #fail(error: unknown): void {
    this.#end(error);
    this.cancel();
  }

  #end(thrown: unknown): void {
    const events = this.#events;
    this.#release();
    events?.onEnd(thrown);
  }

  #release(): void {
    this.#events = undefined;
    this.#early = undefined;
    this.#assembler = undefined;
  }
}

/** Whether the server began to answer, in the form that was asked for, and all else is in the trailers. */
function isUsual(header: IncomingHttpHeaders & IncomingHttpStatusHeader): boolean {
  return header[":status"] === 200 && header["content-type"] === contentType && header["grpc-status"] === undefined;
}

function requestHeaders(path: string, deadline: GrpcDeadline | undefined): OutgoingHttpHeaders {
  const headers = {
    ":method": "POST",
    ":path": path,
    "content-type": contentType,
    "user-agent": "coordination-signals-client",
    te: "trailers",
  };
  return deadline === undefined ? headers : { ...headers, ...deadline };
}

function webHeaders(headers: IncomingHttpHeaders): Headers {
  const web = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) web.append(name, each);
  }
  return web;
}

function messageOf(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure);
}

function ignore(): void {}
