import {
  type BatchSendSignalsRequest,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { SendOrder } from "../coordination/send-order.js";
import { takesNoChanges } from "../coordination/takes-no-changes.js";
import type { ItemSink } from "../delivery/item-sink.js";
import { CoordinationError } from "../model/coordination-error.js";
import { maxStreamBatches } from "../model/limits.js";
import type { SendOutcome } from "./batch-response.js";
import { beginBatch, noteRefusal } from "./batch-sends.js";
import { nameOfMethod } from "./interceptors.js";
import type { ServiceDependencies } from "./service-dependencies.js";

/** The method as its calls are counted. */
export const streamMethodName = nameOfMethod(SignalService.method.streamSignals);

/** One batch that stands in its queue, or was refused. */
interface BegunBatch {
  /** Undefined while it is on its way to the disk. */
  outcomes: SendOutcome[] | undefined;
}

/**
 * The batches of a stream between those who read them and those who answer them. They are begun while those before them are on
 * their way to the disk, so that one commit follows the other without a pause; their answers go out in the order in which the
 * batches came, while the sink is ready. No more than a few are begun at once: then the next one is not taken, and the transport holds
 * the client back.
 */
export class SignalStream {
  readonly #dependencies: ServiceDependencies;
  readonly #sink: ItemSink<SendOutcome[]>;
  readonly #onRoom: () => void;
  readonly #forgetDrain: () => void;
  readonly #order = new SendOrder();
  /** What was begun and is not answered, the oldest first. */
  readonly #begun: BegunBatch[] = [];
  /** The client has sent all it wants to. */
  #isComplete = false;
  /** A batch is on its way to its queue. */
  #isBeginning = false;
  /** No further batch is to be begun. */
  #isStopped = false;
  #hasEnded = false;
  /** What the stream ends with when everything begun is answered. */
  #failure: { readonly error: unknown } | undefined;

  /** `onRoom` is called when it takes the next batch after it took none, and when it never will again. */
  constructor(dependencies: ServiceDependencies, sink: ItemSink<SendOutcome[]>, onRoom: () => void) {
    this.#dependencies = dependencies;
    this.#sink = sink;
    this.#onRoom = onRoom;
    this.#forgetDrain = dependencies.coordinator.onDrain(() => this.stop(takesNoChanges()));
  }

  /** Whether the next batch may be given to it now. */
  get hasRoom(): boolean {
    return !this.isOver && !this.#isBeginning && this.#begun.length < maxStreamBatches;
  }

  /** Whether it takes no more batches, ever. */
  get isOver(): boolean {
    return this.#isStopped || this.#isComplete;
  }

  /** Begins a batch. Only while there is room. */
  take(batch: BatchSendSignalsRequest): void {
    this.#isBeginning = true;
    const begun: BegunBatch = { outcomes: undefined };
    try {
      const started = beginBatch(this.#dependencies, batch, this.#order);
      if (started instanceof Promise) {
        started.then(
          ({ outcomes }) => this.#answerLater(batch, begun, outcomes),
          (error: unknown) => this.#refuse(batch, begun, error),
        );
      } else this.#answerLater(batch, begun, started.outcomes);
    } catch (error) {
      this.#refuse(batch, begun, error);
    }
  }

  /** Takes no more batches: the stream ends once what was begun is answered. */
  complete(): void {
    this.#isComplete = true;
    this.#advance();
  }

  /** Begins no further batch. The stream ends with the error once what was begun is answered. Safe to repeat: the first error counts. */
  stop(error: unknown): void {
    // Whoever is told that there is no room any more can find what ended the stream again.
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#failure = { error };
    this.#onRoom();
    this.#advance();
  }

  /** Goes on: the sink is ready again. */
  resume(): void {
    this.#advance();
  }

  /** The client has gone: nothing more is written. Answers whether the stream had not ended before. */
  leave(): boolean {
    return this.#close();
  }

  /** It stands in its queue: the next one may follow. */
  #answerLater(batch: BatchSendSignalsRequest, begun: BegunBatch, outcomes: Promise<SendOutcome[]>): void {
    outcomes.then(
      (all) => this.#answer(begun, all),
      (error: unknown) => this.#answer(begun, this.#refusalOf(batch, error)),
    );
    this.#hasBegun(begun);
  }

  /** It did not come so far. */
  #refuse(batch: BatchSendSignalsRequest, begun: BegunBatch, error: unknown): void {
    this.#order.failed(error);
    begun.outcomes = this.#refusalOf(batch, error);
    this.#hasBegun(begun);
    this.#advance();
  }

  #answer(begun: BegunBatch, outcomes: SendOutcome[]): void {
    begun.outcomes = outcomes;
    this.#advance();
  }

  #refusalOf(batch: BatchSendSignalsRequest, error: unknown): SendOutcome[] {
    return refusedBatch(batch, noteRefusal(this.#dependencies, atFault(batch, error), error));
  }

  #hasBegun(batch: BegunBatch): void {
    this.#begun.push(batch);
    this.#isBeginning = false;
    if (this.hasRoom) this.#onRoom();
  }

  /** Answers what can be answered, and ends where nothing is left to be. */
  #advance(): void {
    while (!this.#hasEnded && this.#sink.isReady) {
      const [oldest] = this.#begun;
      if (oldest === undefined) {
        if (this.isOver && !this.#isBeginning) this.#end(this.#failure);
        return;
      }
      if (oldest.outcomes === undefined) return;
      this.#begun.shift();
      this.#sink.write(oldest.outcomes);
      // What stands behind it is refused as well; the client sends it again in its order.
      const { failure } = this.#order;
      if (failure !== undefined) this.#end({ error: failure });
      else if (this.hasRoom) this.#onRoom();
    }
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    if (!this.#close()) return;
    if (failure === undefined) this.#sink.end();
    else this.#sink.fail(failure.error);
  }

  /** Frees what it holds. Answers whether it had not ended yet. */
  #close(): boolean {
    if (this.#hasEnded) return false;
    this.#hasEnded = true;
    this.#isStopped = true;
    this.#forgetDrain();
    this.#onRoom();
    return true;
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
