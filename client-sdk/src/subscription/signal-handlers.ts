import type { OpenResource, OpenResources } from "../open-resources.js";

/** What signals are handled with. */
export interface SignalHandlersOptions<Signal> {
  /** Where the signals come from. It is closed when nothing more is handled. */
  readonly source: AsyncIterable<Signal> & OpenResource;
  /** Handles one signal. Never rejects. */
  readonly handle: (signal: Signal) => Promise<void>;
  /** What is waited for once no handler runs any more. Never rejects. */
  readonly rest?: () => Promise<unknown>;
  /** Signals that are handled at the same time; more wait. Default 16. */
  readonly maxConcurrent: number | undefined;
  /** Ends as `close()` does. */
  readonly signal: AbortSignal | undefined;
  readonly open: OpenResources;
}

const defaultMaxConcurrent = 16;

/**
 * Hands signals to a handler, some at a time, until it is closed or they end. Closing takes nothing new and waits for the handlers
 * that run before it closes the source: with a named subscription's stream goes what the stream has delivered. Who waits for a
 * handler waits for the next one that ends, whichever: a promise that was raced against others keeps something of each race, and a
 * handler that takes long would keep something of every signal handled beside it.
 */
export class SignalHandlers<Signal> implements OpenResource {
  readonly #options: SignalHandlersOptions<Signal>;
  readonly #finished: Promise<void>;
  #running = 0;
  /** Who waits for the next handler to end. */
  #waiting: (() => void)[] = [];
  #stopping: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: SignalHandlersOptions<Signal>) {
    this.#options = options;
    options.open.add(this);
    this.#finished = this.#run();
  }

  /** Resolves when it was closed or the signals have ended, and what it was at is done. Rejects with what ended it otherwise. */
  get finished(): Promise<void> {
    return this.#finished;
  }

  /** Ends as `close()` does; then `finished` rejects with the first failure. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    void this.#stop();
  }

  /** Takes nothing new, and waits for the handlers that run. Never rejects. */
  async close(): Promise<void> {
    await this.#stop();
    await this.#finished.catch(() => undefined);
  }

  #stop(): Promise<void> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<void> {
    await this.#fewerThan(1);
    await this.#options.source.close();
  }

  async #run(): Promise<void> {
    const { source, rest, maxConcurrent = defaultMaxConcurrent, signal, open } = this.#options;
    const onAbort = () => void this.#stop();
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      for await (const taken of source) {
        // The source is closed by then, and the loop ends. Left by `break` it would be closed before the handlers are done.
        if (this.#stopping !== undefined) await this.#stopping;
        else this.#start(taken);
        await this.#fewerThan(maxConcurrent);
      }
    } finally {
      await this.#fewerThan(1);
      await rest?.();
      signal?.removeEventListener("abort", onAbort);
      open.remove(this);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #start(taken: Signal): void {
    this.#running += 1;
    void this.#options.handle(taken).then(() => {
      this.#running -= 1;
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  async #fewerThan(count: number): Promise<void> {
    while (this.#running >= count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
