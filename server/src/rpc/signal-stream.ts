import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type BatchSendSignalsRequest,
  type StreamSignalsRequest,
  type StreamSignalsResponse,
  StreamSignalsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { SendOrder } from "../coordination/send-order.js";
import { CoordinationError } from "../model/coordination-error.js";
import { maxStreamBatches } from "../model/limits.js";
import { takesNoChanges } from "../signal-coordinator.js";
import { batchResponse, type SendOutcome } from "./batch-response.js";
import { beginBatch, noteRefusal } from "./batch-sends.js";
import { wantsBinary } from "./encoded-response.js";
import type { ServiceDependencies } from "./service-dependencies.js";

/*
 * Batches are read and begun while those before them are on their way to the disk, so that one commit follows the other
 * without a pause. Their answers go out in the order in which the batches came. No more than a few are begun at once: then
 * the next one is not read, and the transport holds the client back.
 */

/** Stores the batches of a stream and answers them in their order. */
export async function* streamSignals(
  dependencies: ServiceDependencies,
  requests: AsyncIterable<StreamSignalsRequest>,
  context: HandlerContext,
): AsyncGenerator<StreamSignalsResponse> {
  const stream = new SignalStream(dependencies, wantsBinary(context));
  const stop = () => stream.stop(undefined);
  const forget = dependencies.coordinator.onDrain(() => stream.stop(takesNoChanges()));
  context.signal.addEventListener("abort", stop, { once: true });
  try {
    stream.read(requests);
    yield* stream.answers();
    // The client's deadline passed, or it left: the reason says which.
    context.signal.throwIfAborted();
  } finally {
    forget();
    context.signal.removeEventListener("abort", stop);
    stop();
  }
}

/** Batches that were begun, between the loop that reads them and the one that answers them. */
class SignalStream {
  readonly #dependencies: ServiceDependencies;
  readonly #binary: boolean;
  readonly #order = new SendOrder();
  /** What becomes of the batches begun, the oldest first. */
  readonly #begun: Promise<SendOutcome[]>[] = [];
  #wakeReader: (() => void) | undefined;
  #wakeAnswerer: (() => void) | undefined;
  /** The client has sent all it wants to. */
  #isComplete = false;
  /** A batch is on its way to its queue. */
  #isBeginning = false;
  /** No further batch is to be begun. */
  #isStopped = false;
  /** What the stream ends with when everything begun is answered. */
  #failure: { readonly error: unknown } | undefined;

  constructor(dependencies: ServiceDependencies, binary: boolean) {
    this.#dependencies = dependencies;
    this.#binary = binary;
  }

  /** Begins no further batch. The stream ends with the error, if there is one, once what was begun is answered. */
  stop(error: unknown): void {
    if (error !== undefined) this.#failure ??= { error };
    this.#isStopped = true;
    this.#wake();
  }

  /** Reads and begins batches from now on. */
  read(requests: AsyncIterable<StreamSignalsRequest>): void {
    const done = () => {
      this.#isComplete = true;
      this.#wake();
    };
    this.#readAll(requests).then(done, (error: unknown) => this.stop(error));
  }

  /** Yields one answer per batch. Throws what ended the stream, after the answers to what was begun before. */
  async *answers(): AsyncGenerator<StreamSignalsResponse> {
    for (let outcomes = await this.#next(); outcomes !== undefined; outcomes = await this.#next()) {
      yield create(StreamSignalsResponseSchema, { batch: batchResponse(outcomes, this.#binary) });
      this.#begun.shift();
      this.#wake();
      // What stands behind it is refused as well; the client sends it again in its order.
      if (this.#order.failure !== undefined) throw this.#order.failure;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #readAll(requests: AsyncIterable<StreamSignalsRequest>): Promise<void> {
    for await (const { batch } of requests) {
      if (batch === undefined) continue;
      while (!this.#isStopped && this.#begun.length >= maxStreamBatches) await this.#room();
      if (this.#isStopped) return;
      this.#isBeginning = true;
      const begun = await this.#begin(batch);
      this.#isBeginning = false;
      this.#begun.push(begun.promise);
      this.#wake();
    }
  }

  /** Begins one batch; whatever refuses it is told in its outcomes. */
  async #begin(batch: BatchSendSignalsRequest): Promise<{ readonly promise: Promise<SendOutcome[]> }> {
    const refused = (error: unknown) =>
      refusedBatch(batch, noteRefusal(this.#dependencies, atFault(batch, error), error));
    try {
      const { outcomes } = await beginBatch(this.#dependencies, batch, this.#order);
      return { promise: outcomes.catch(refused) };
    } catch (error) {
      this.#order.failed(error);
      return { promise: Promise.resolve(refused(error)) };
    }
  }

  /** What became of the oldest batch that is not answered; undefined when none is left and none will come. */
  async #next(): Promise<SendOutcome[] | undefined> {
    for (;;) {
      const [oldest] = this.#begun;
      if (oldest !== undefined) return oldest;
      if ((this.#isComplete || this.#isStopped) && !this.#isBeginning) return undefined;
      await new Promise<void>((resolve) => {
        this.#wakeAnswerer = resolve;
      });
    }
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeReader = resolve;
    });
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeAnswerer?.();
  }
}

/** Of an atomic batch that was refused, every item: the one at fault with the refusal, the others with what it was. */
function refusedBatch({ requests }: BatchSendSignalsRequest, error: CoordinationError): SendOutcome[] {
  const { index } = error.metadata;
  if (index === undefined) return requests.map(() => ({ error }));
  const neighbour = new CoordinationError(error.reason, `requests[${index}] of the atomic batch was refused`, {
    metadata: { index },
    ...(error.retryDelayMs !== undefined && { retryDelayMs: error.retryDelayMs }),
  });
  return requests.map((_, at) => ({ error: at === Number(index) ? error : neighbour }));
}

function atFault({ requests }: BatchSendSignalsRequest, error: unknown) {
  return requests[error instanceof CoordinationError ? Number(error.metadata["index"] ?? 0) : 0];
}
