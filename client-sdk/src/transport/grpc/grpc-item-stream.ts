import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type SubscribeRequest,
  SubscribeRequestSchema,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { CoordinationClientError } from "../../errors/coordination-client-error.js";
import { SignalBatchDecoder } from "../signal-batch-decoder.js";
import type { ItemStream, StreamOptions, SubscriptionItem } from "../signal-streams.js";
import { grpcFrame } from "./grpc-frame.js";
import { GrpcStream, type GrpcStreamTarget } from "./grpc-stream.js";

/** Bytes of messages that wait to be read, beyond which no more is taken from the stream's window, and so the server is held back. */
const maxWaitingBytes = 64 * 1024;

interface WaitingRead {
  readonly resolve: (hasArrived: boolean) => void;
  readonly reject: (thrown: unknown) => void;
}

/** Reads a subscription from the bytes of its stream. Items are decoded when they are taken. */
export class GrpcItemStream implements ItemStream {
  readonly #stream: GrpcStream;
  readonly #decoder = new SignalBatchDecoder();
  readonly #messages: Buffer[] = [];
  #waitingBytes = 0;
  #read: WaitingRead | undefined;
  #end: { readonly thrown: unknown } | undefined;

  constructor(target: GrpcStreamTarget, request: SubscribeRequest, onFailed: StreamOptions["onFailed"]) {
    this.#stream = new GrpcStream(target, {
      onMessage: (message) => this.#arrived(message),
      onEnd: (thrown) => {
        if (thrown !== undefined) onFailed?.(thrown);
        this.#ended(thrown);
      },
    });
    this.#stream.write(grpcFrame(toBinary(SubscribeRequestSchema, request)));
    this.#stream.finish();
  }

  arrived(): Promise<boolean> {
    if (this.#messages.length > 0) return Promise.resolve(true);
    if (this.#end !== undefined) return settled(this.#end);
    return new Promise((resolve, reject) => {
      this.#read = { resolve, reject };
    });
  }

  take(): SubscriptionItem {
    const message = this.#messages.shift();
    if (message === undefined) throw new Error("no item has arrived");
    this.#waitingBytes -= message.length;
    if (this.#waitingBytes < maxWaitingBytes) this.#stream.resume();
    return this.#decode(message);
  }

  cancel(reason: CoordinationClientError): void {
    this.#stream.cancel();
    this.#messages.length = 0;
    this.#ended(reason);
  }

  #arrived(message: Buffer): void {
    this.#messages.push(message);
    this.#waitingBytes += message.length;
    const read = this.#read;
    this.#read = undefined;
    // Whoever waits takes it at once.
    if (read !== undefined) read.resolve(true);
    else if (this.#waitingBytes >= maxWaitingBytes) this.#stream.pause();
  }

  #ended(thrown: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { thrown };
    const read = this.#read;
    this.#read = undefined;
    if (thrown === undefined) read?.resolve(false);
    else read?.reject(thrown);
  }

  #decode(message: Buffer): SubscriptionItem {
    const batch = this.#batchIn(message);
    if (batch !== undefined) return { case: "batch", value: batch };
    try {
      return fromBinary(SubscribeResponseSchema, message).item;
    } catch (error) {
      throw ConnectError.from(error, Code.InvalidArgument);
    }
  }

  #batchIn(message: Buffer) {
    try {
      return this.#decoder.batchOfResponse(message);
    } catch {
      // The library tells what is wrong with it, or that it is only unusual.
      return undefined;
    }
  }
}

function settled({ thrown }: { readonly thrown: unknown }): Promise<boolean> {
  return thrown === undefined ? Promise.resolve(false) : Promise.reject(thrown);
}
