import type { Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { SignalService, type StreamSignalsRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { ItemSink } from "../delivery/item-sink.js";
import { batchAnswerFrame } from "./batch-answer-frame.js";
import type { SendOutcome } from "./batch-response.js";
import type { CallOutcomes } from "./call-outcomes.js";
import type { RequestFrameCall, RequestFrameMethod, RequestFrameStream } from "./frame-method.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { SignalStream, streamMethodName } from "./signal-stream.js";

const { input } = SignalService.method.streamSignals;

/** Serves StreamSignals over binary gRPC: a batch goes from its frame to its queue without a stop. */
export class StreamSignalsMethod implements RequestFrameMethod {
  readonly #dependencies: ServiceDependencies;
  readonly #outcomes: CallOutcomes;

  constructor(dependencies: ServiceDependencies, outcomes: CallOutcomes) {
    this.#dependencies = dependencies;
    this.#outcomes = outcomes;
  }

  open(call: RequestFrameCall): RequestFrameStream {
    return new BatchStream(this.#dependencies, this.#outcomes, call);
  }
}

/** Writes what becomes of batches to their call. */
class BatchStream implements ItemSink<SendOutcome[]>, RequestFrameStream {
  readonly #dependencies: ServiceDependencies;
  readonly #outcomes: CallOutcomes;
  readonly #call: RequestFrameCall;
  readonly #stream: SignalStream;

  constructor(dependencies: ServiceDependencies, outcomes: CallOutcomes, call: RequestFrameCall) {
    this.#dependencies = dependencies;
    this.#outcomes = outcomes;
    this.#call = call;
    this.#stream = new SignalStream(dependencies, this, () => call.readOn());
  }

  get takesMessages(): boolean {
    return this.#stream.hasRoom;
  }

  take(message: Message): void {
    try {
      this.#dependencies.validator.validate(input, message as StreamSignalsRequest);
    } catch (error) {
      this.#stream.stop(error);
      return;
    }
    const { batch } = message as StreamSignalsRequest;
    if (batch !== undefined) this.#stream.take(batch);
  }

  complete(): void {
    this.#stream.complete();
  }

  refuse(error: unknown): void {
    this.#stream.stop(error);
  }

  get isReady(): boolean {
    return this.#call.isReady;
  }

  write(outcomes: SendOutcome[]): void {
    this.#call.write(batchAnswerFrame(outcomes));
  }

  end(): void {
    this.#outcomes.succeeded(streamMethodName);
    this.#call.succeed();
  }

  fail(error: unknown): void {
    this.#call.fail(this.#outcomes.failed(streamMethodName, error));
  }

  resume(): void {
    this.#stream.resume();
  }

  leave(reason: ConnectError): void {
    if (!this.#stream.leave()) return;
    this.#outcomes.left(streamMethodName, reason);
  }
}
