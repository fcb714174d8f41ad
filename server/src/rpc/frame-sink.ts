import { type ContextKey, createContextKey } from "@connectrpc/connect";

/**
 * Takes the frames of a streamed response as bytes, for services that have them ready: see `grpcFrame`. What is written in
 * one turn of the event loop leaves together.
 */
export interface FrameSink {
  /** Whether the client keeps up. While it does not, more should wait for `drained`. */
  readonly isReady: boolean;
  /** Takes whole frames. They are dropped when the call has ended. */
  write(frames: Uint8Array): void;
  /** Resolves when the client has accepted what was written, or the call has ended. */
  drained(): Promise<void>;
}

/**
 * Where a service finds the sink of its call. There is one for streamed responses in binary gRPC; a service that writes to
 * it yields nothing. Interceptors see such a stream begin and end, and none of its messages.
 */
export const frameSinkKey: ContextKey<FrameSink | undefined> = createContextKey<FrameSink | undefined>(undefined);
