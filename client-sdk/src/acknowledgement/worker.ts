import type { OpenResource, OpenResources } from "../open-resources.js";
import type { SignalEventCase } from "../signals/typed-signal.js";
import { SignalHandlers } from "../subscription/signal-handlers.js";
import type { AcknowledgedSubscription } from "./acknowledged-subscription.js";
import type { DeliveredSignal } from "./delivery.js";
import type { AcknowledgedSubscribeOptions } from "./durable-subscription-options.js";
import type { LeaseKeeper } from "./lease-keeper.js";
import { reasonFrom } from "./nack-reason.js";

/**
 * Does the work that a signal asks for. When it returns, the delivery is acknowledged; when it throws, refused, with the error's
 * message as the reason; unless it has settled the delivery itself. `lease` is aborted once somebody else may have the signal
 * meanwhile, be it that the server says so, that the stream was lost, or that the signal's time has passed and the server could not be
 * reached: what is done from then on may be done twice.
 */
export type WorkHandler<Case extends SignalEventCase> = (
  signal: DeliveredSignal<Case>,
  lease: AbortSignal,
) => void | Promise<void>;

/** What to work on, and how. */
export interface WorkOptions<Case extends SignalEventCase = SignalEventCase>
  extends AcknowledgedSubscribeOptions<Case> {
  /** Signals that are worked on at the same time; more wait. From 1. Default 16. */
  readonly maxConcurrent?: number | undefined;
  /**
   * Called when the handler throws, after which its signal is refused, and when an acknowledgement is not taken, or it is not known
   * whether it was: its signal is delivered again, unless it is a dead letter, or done by somebody else (AckExpiredError tells by
   * `metadata.cause`). What it throws ends the worker. Default: nothing is called, and the worker goes on.
   */
  readonly onError?: ((error: unknown, signal: DeliveredSignal<Case>) => void) | undefined;
}

/** What a worker works with. */
export interface WorkerEnvironment<Case extends SignalEventCase> {
  readonly subscription: AcknowledgedSubscription<Case>;
  readonly leases: LeaseKeeper;
  readonly open: OpenResources;
}

/**
 * Works on the signals of a named subscription until it is closed: some at a time, each acknowledged when it is done, kept from
 * expiring while it waits and is worked on. A signal whose worker dies is delivered again, to another one or to its next life.
 */
export class Worker<Case extends SignalEventCase = SignalEventCase> implements AsyncDisposable, OpenResource {
  readonly #environment: WorkerEnvironment<Case>;
  readonly #handler: WorkHandler<Case>;
  readonly #options: WorkOptions<Case>;
  /** Acknowledgements on their way: the next handler need not wait for them. */
  readonly #settling = new Set<Promise<void>>();
  readonly #handlers: SignalHandlers<DeliveredSignal<Case>>;

  /** Made by `session.work()`. */
  constructor(environment: WorkerEnvironment<Case>, handler: WorkHandler<Case>, options: WorkOptions<Case>) {
    const { subscription: source, open } = environment;
    const { maxConcurrent, signal } = options;
    this.#environment = environment;
    this.#handler = handler;
    this.#options = options;
    this.#handlers = new SignalHandlers({
      source,
      handle: (taken) => this.#workOn(taken),
      rest: () => Promise.all(this.#settling),
      maxConcurrent,
      signal,
      open,
    });
    // Whoever waits for it learns of a failure; that nobody does is the same as with a subscription that nobody reads.
    this.#handlers.finished.catch(() => undefined);
  }

  /** Resolves once the subscription stands. Rejects when it ends before. */
  ready(): Promise<void> {
    return this.#environment.subscription.ready();
  }

  /** Resolves when it was closed or the coordination has ended, and what it was at is done. Rejects with what ended it otherwise. */
  get finished(): Promise<void> {
    return this.#handlers.finished;
  }

  /**
   * Takes nothing new, and waits for the handlers that run, however long they take, and for their acknowledgements. A handler can call
   * it and must not await it: it would wait for itself. Never rejects.
   */
  async close(): Promise<void> {
    await this.#handlers.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Never rejects: what fails is told to the server, and to `onError`. */
  async #workOn(signal: DeliveredSignal<Case>): Promise<void> {
    const { delivery } = signal;
    try {
      await this.#handler(signal, this.#environment.leases.signalOf(delivery));
    } catch (error) {
      this.#tell(error, signal);
      if (!delivery.isSettled) this.#settle(signal, delivery.nack({ reason: reasonFrom(error) }));
      return;
    }
    if (!delivery.isSettled) this.#settle(signal, delivery.ack());
  }

  #settle(signal: DeliveredSignal<Case>, answer: Promise<unknown>): void {
    const settling = answer
      .then(
        () => undefined,
        (error: unknown) => this.#tell(error, signal),
      )
      .finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
  }

  #tell(error: unknown, signal: DeliveredSignal<Case>): void {
    try {
      this.#options.onError?.(error, signal);
    } catch (thrown) {
      this.#handlers.fail(thrown);
    }
  }
}
