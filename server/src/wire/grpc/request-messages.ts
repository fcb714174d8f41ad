import type { DescMessage, Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { decodeRequest } from "../../rpc/decode-request.js";
import { grpcFrameHeaderBytes } from "../../rpc/grpc-frame.js";
import type { GrpcRequest } from "./grpc-request.js";

const compressedFlag = 1;

/** How the messages of a request are read. */
export interface MessageReading {
  readonly desc: DescMessage;
  /** What the request's `grpc-encoding` names, if anything. */
  readonly compression: Compression | undefined;
  readonly maxMessageBytes: number;
}

/** The message in a frame. A promise only where something has to be decompressed. */
export function messageInFrame(frame: Uint8Array, reading: MessageReading): Message | Promise<Message> {
  const bytes = frame.subarray(grpcFrameHeaderBytes);
  if (((frame[0] ?? 0) & compressedFlag) === 0) return parse(bytes, reading.desc);
  return decompressed(bytes, reading);
}

async function decompressed(bytes: Uint8Array, reading: MessageReading): Promise<Message> {
  const { compression, maxMessageBytes, desc } = reading;
  if (compression === undefined) {
    throw new ConnectError("message is compressed, but grpc-encoding does not say how", Code.Internal);
  }
  return parse(await compression.decompress(bytes, maxMessageBytes), desc);
}

function parse(bytes: Uint8Array, desc: DescMessage): Message {
  try {
    return decodeRequest(desc, bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConnectError(`parse binary: ${why}`, Code.InvalidArgument);
  }
}

/** The messages of a request as they arrive, for one reader; the client is held back while it is busy. */
export class RequestMessages implements AsyncIterable<Message> {
  readonly #request: GrpcRequest;
  readonly #reading: MessageReading;
  #wake: (() => void) | undefined;

  constructor(request: GrpcRequest, reading: MessageReading) {
    this.#request = request;
    this.#reading = reading;
  }

  /** Tells the reader that something has changed. */
  notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#request.discard();
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Message, undefined>> {
    for (;;) {
      const frame = this.#request.takeFrame();
      if (frame !== undefined) return { done: false, value: await messageInFrame(frame, this.#reading) };
      if (this.#request.failure !== undefined) throw this.#request.failure;
      if (this.#request.isComplete) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
