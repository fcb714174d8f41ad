import type { Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";

/**
 * A call whose answers are written as bytes: see `grpcFrame`. What is written in one turn of the event loop leaves together.
 * It ends once; whoever comes later has no effect.
 */
export interface FrameCall {
  /** Whether the client keeps up. When it does again, the call's `FrameStream` is told. */
  readonly isReady: boolean;
  /** How long it may still take, in milliseconds; undefined when it may take forever. */
  readonly remainingMs: number | undefined;
  /** Takes whole frames. They are dropped when the call has ended. */
  write(frames: Uint8Array): void;
  /** Ends it well, with a last frame behind what was written. */
  succeed(lastFrame?: Uint8Array): void;
  fail(error: ConnectError): void;
}

/** What writes a call's frames. */
export interface FrameStream {
  /** Goes on: the client has taken what was written. */
  resume(): void;
  /** The call has ended before its answer did; the reason says why. */
  leave(reason: ConnectError): void;
}

/**
 * A method that takes one message and streams its answers, as binary gRPC serves it: nothing stands between it and the call,
 * neither interceptors nor iterators, whose duties are then its own. The other protocols are served by the method's service.
 */
export interface FrameMethod {
  /** Begins to answer; undefined where it has ended the call already. */
  begin(request: Message, call: FrameCall): FrameStream | undefined;
  /** Ends a call whose request could not be read. */
  refuse(error: unknown, call: FrameCall): void;
}

/** A call whose requests are a stream. */
export interface RequestFrameCall extends FrameCall {
  /** Its stream takes messages again, or none any more. */
  readOn(): void;
}

/** What takes a call's messages and writes its frames. */
export interface RequestFrameStream extends FrameStream {
  /** Whether the next message is welcome now. When it is again, the call is told to read on. */
  readonly takesMessages: boolean;
  take(message: Message): void;
  /** No message follows: the client has sent all it wants to. Safe to repeat. */
  complete(): void;
  /** No message follows: the request cannot be read. Safe to repeat. */
  refuse(error: unknown): void;
}

/** As `FrameMethod`, of a method that takes a stream of messages. */
export interface RequestFrameMethod {
  open(call: RequestFrameCall): RequestFrameStream;
}

/** Methods by path, as `/package.Service/Method`. */
export type FrameMethods = ReadonlyMap<string, FrameMethod | RequestFrameMethod>;
