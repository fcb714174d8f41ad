import type { Client } from "@connectrpc/connect";
import type { SignalBatch, SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { RetryPolicy } from "../calls/retry-policy.js";
import { cancelledError, clientClosedError } from "../errors/cancelled-error.js";
import { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import { assertOfTypes } from "../signals/assert-of-types.js";
import type { SignalEventCase, TypedSignal } from "../signals/typed-signal.js";
import { StatusFeed } from "../status-feed.js";
import type { Clock } from "../time/clock.js";
import { linkAbort } from "../time/linked-abort.js";
import type { SignalStreams } from "../transport/signal-streams.js";
import { IdleTimer } from "./idle-timer.js";
import {
  defaultCheckpointIntervalMs,
  defaultReconnectTimeoutMs,
  type SubscribeOptions,
  silentCheckpointIntervals,
  subscribeRequests,
} from "./subscribe-options.js";
import { type StreamPosition, SubscriptionPosition } from "./subscription-position.js";
import { SubscriptionReader, type SubscriptionReaderOptions } from "./subscription-reader.js";
import { streamStartFrom } from "./subscription-start.js";
import type { SubscriptionStatus } from "./subscription-status.js";

/** What a subscription needs from its session. */
export interface SubscriptionEnvironment {
  readonly client: Client<typeof SignalService>;
  /** Used in the place of `client` where the transport has them. */
  readonly streams: SignalStreams | undefined;
  readonly coordinationId: string;
  readonly agentId: string | undefined;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  readonly open: OpenResources;
  /**
   * How a named subscription, whose position the server keeps, is asked for, instead of what the options say of the start; and the
   * signal that has its owner close it.
   */
  readonly named?:
    | (Pick<SubscriptionReaderOptions, "position" | "requestFrom"> & { readonly signal: AbortSignal | undefined })
    | undefined;
}

/**
 * Signals of one coordination, in order, each once, across reconnects and restarts of the server. With
 * `order: "priority"` the most urgent of those that are pending come first, in order inside a level.
 *
 * It is read by `for await`, once, by one consumer. The stream is opened at once; `ready()` waits until it stands. It ends
 * without an error when the server ends it (the coordination was closed, `beforeTime` has passed) and when the consumer
 * does: by `break`, `close()`, `await using`, the AbortSignal, or by closing the session or the client. It ends with an
 * error, thrown by the iteration, when a reconnect cannot mend it: OutOfRangeError (the position is gone: nothing is
 * skipped silently), SequenceGapError, NotFoundError (the coordination was deleted), InvalidRequestError, OverloadedError,
 * or UnavailableError after `reconnectTimeoutMs`.
 *
 * Nothing is read ahead of the batch being consumed: a slow consumer slows its stream down. One that reads nothing at all
 * while signals are pending is disconnected by the server after a while.
 */
export class Subscription<Case extends SignalEventCase = SignalEventCase>
  implements AsyncIterableIterator<TypedSignal<Case>>, AsyncDisposable, OpenResource
{
  readonly #environment: SubscriptionEnvironment;
  readonly #options: SubscribeOptions<Case>;
  readonly #position: StreamPosition;
  readonly #reader: SubscriptionReader;
  readonly #idleTimer: IdleTimer;
  readonly #statuses = new StatusFeed<SubscriptionStatus>();
  readonly #closing: ReturnType<typeof linkAbort>;
  readonly #opened: Promise<void>;
  #hasOpened = false;
  /** What is being handed out, and which of it comes next. */
  #batch: SignalBatch | undefined;
  #nextIndex = 0;
  /** The last read that has not settled, and how many there are. */
  #reading: Promise<unknown> | undefined;
  #readings = 0;
  #ended = false;
  /** The consumer knows of the end. */
  #isOver = false;
  /** Why it ended, when not by the server's or the consumer's will. */
  #failure: { readonly thrown: unknown } | undefined;

  constructor(environment: SubscriptionEnvironment, options: SubscribeOptions<Case>) {
    this.#environment = environment;
    this.#options = options;
    const { named } = environment;
    const start = () => streamStartFrom(options.from ?? "latest", options.order);
    this.#position = named?.position ?? new SubscriptionPosition(start(), options.order);
    const requestFrom = named?.requestFrom ?? subscribeRequests(environment, options);
    // Nothing is held before the options are known to be good.
    this.#closing = linkAbort(options.signal);
    this.#reader = this.#createReader(requestFrom);
    this.#idleTimer = new IdleTimer(environment.clock, options.idleTimeoutMs, (idleMs) =>
      this.#emit({ type: "idle", idleMs }),
    );
    this.#closing.signal.addEventListener("abort", () => this.#end(), { once: true });
    environment.open.add(this);
    if (this.#closing.signal.aborted) this.#end();
    this.#opened = this.#open();
    // Whoever reads or waits for it learns of a failure; that nobody does must not end the process.
    this.#opened.catch(() => undefined);
  }

  /**
   * Resumes, in `from: { cursor }`, after the last signal handed out. `undefined` until the subscription first stands.
   * Between batches it is the server's cursor, which any client understands; after a signal inside a batch it is one that
   * only this package does (it begins with "~").
   */
  get cursor(): string | undefined {
    return this.#position.cursor;
  }

  /**
   * Resolves once the subscription stands: what is sent from then on is read. Rejects when it ends before; with CancelledError, whose
   * `cause` is the reason of an aborted signal, when its consumer has it end.
   */
  ready(): Promise<void> {
    return this.#opened;
  }

  /** Reads status events from now on. A reader may lag 256 events behind, then the oldest are dropped. */
  status(): AsyncIterableIterator<SubscriptionStatus> {
    return this.#statuses.read();
  }

  /** Reads the next signal. */
  next(): Promise<IteratorResult<TypedSignal<Case>, undefined>> {
    // What is there already waits for nobody: most signals of a busy coordination come this way.
    if (this.#reading !== undefined) return this.#readNext();
    try {
      const taken = this.#takeSignal();
      return taken === undefined ? this.#readNext() : Promise.resolve(taken);
    } catch (thrown) {
      this.#endWith(thrown);
      return this.#readNext();
    }
  }

  /** Ends the subscription; `break` calls it. */
  async return(): Promise<IteratorResult<TypedSignal<Case>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** Ends the subscription and frees everything: the iteration ends without an error. */
  async close(): Promise<void> {
    this.#end();
    await this.#reading?.then(ignore, ignore);
    this.#isOver = true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #createReader(requestFrom: SubscriptionReaderOptions["requestFrom"]): SubscriptionReader {
    const { client, streams, clock, retry } = this.#environment;
    const { checkpointIntervalMs = defaultCheckpointIntervalMs, reconnectTimeoutMs } = this.#options;
    return new SubscriptionReader({
      client,
      streams,
      clock,
      retry,
      position: this.#position,
      requestFrom,
      reconnectTimeoutMs: reconnectTimeoutMs ?? defaultReconnectTimeoutMs,
      silenceTimeoutMs: checkpointIntervalMs * silentCheckpointIntervals,
      signal: this.#closing.signal,
      emit: (status) => this.#emit(status),
    });
  }

  async #open(): Promise<void> {
    try {
      if (!this.#ended) await this.#reader.open();
    } catch (thrown) {
      this.#endWith(thrown);
    }
    if (this.#failure !== undefined) throw this.#failure.thrown;
    if (this.#ended) throw this.#closedError();
  }

  #closedError(): Error {
    const signal = this.#options.signal ?? this.#environment.named?.signal;
    return signal?.aborted === true ? cancelledError(signal) : clientClosedError();
  }

  /** Hands out the next signal of the batch that is there; `undefined` when it has no more. Throws what the signal is refused with. */
  #takeSignal(): IteratorResult<TypedSignal<Case>, undefined> | undefined {
    const batch = this.#batch;
    const signal = batch?.signals[this.#nextIndex];
    if (batch === undefined || signal === undefined || this.#ended) return undefined;
    const value = assertOfTypes(signal, this.#options.types);
    this.#position.handedOut(batch, this.#nextIndex);
    this.#nextIndex += 1;
    return { done: false, value };
  }

  /** Reads on, after the reads before it. */
  #readNext(): Promise<IteratorResult<TypedSignal<Case>, undefined>> {
    const before = this.#reading;
    this.#readings += 1;
    const reading = before === undefined ? this.#read() : before.then(ignore, ignore).then(() => this.#read());
    if (this.#readings > 0) this.#reading = reading;
    return reading;
  }

  // One function that waits, and no more: all that a waiting subscription awaits is kept, and most of them wait most of the time.
  async #read(): Promise<IteratorResult<TypedSignal<Case>, undefined>> {
    try {
      while (!this.#ended) {
        const taken = this.#takeSignal();
        if (taken !== undefined) return taken;
        // Not held while the next one comes: many readers that wait would hold as many batches.
        this.#batch = undefined;
        this.#idleTimer.start();
        if (!this.#hasOpened) await this.#opened;
        this.#hasOpened = true;
        if ((await this.#reader.read()) === "end") break;
        this.#idleTimer.stop();
        this.#batch = this.#reader.takeBatch();
        this.#nextIndex = 0;
      }
    } catch (thrown) {
      this.#endWith(thrown);
    } finally {
      this.#readings -= 1;
      if (this.#readings === 0) this.#reading = undefined;
    }
    return this.#lastResult();
  }

  /** What a read at the end results in: the failure, once. */
  #lastResult(): IteratorResult<TypedSignal<Case>, undefined> {
    this.#idleTimer.stop();
    this.#end();
    this.#batch = undefined;
    const failure = this.#failure;
    if (failure === undefined || this.#isOver) return { done: true, value: undefined };
    this.#isOver = true;
    throw failure.thrown;
  }

  // A consumer's callback must not break the reading halfway through an item: its failure ends the subscription.
  #emit(status: SubscriptionStatus): void {
    this.#statuses.emit(status);
    try {
      this.#options.onStatus?.(status);
    } catch (thrown) {
      this.#failure ??= { thrown };
      this.#end();
    }
  }

  // What is thrown after the end is only its echo: a cancelled read, a closed stream.
  #endWith(thrown: unknown): void {
    if (this.#ended) return;
    this.#failure = { thrown };
    this.#end(thrown instanceof CoordinationClientError ? thrown : undefined);
  }

  #end(error?: CoordinationClientError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#closing.abort(undefined);
    this.#reader.close();
    this.#environment.open.remove(this);
    this.#emit({ type: "closed", error });
    this.#statuses.end();
  }
}

function ignore(): void {}
