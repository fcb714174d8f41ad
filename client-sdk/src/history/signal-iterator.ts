import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { SignalPage } from "../transport/signal-page.js";

/** What signals are iterated over with. */
export interface SignalIteratorOptions<T> {
  /** The pages; left when the iteration is over. */
  readonly pages: AsyncGenerator<SignalPage, void, undefined>;
  /** Makes what is handed out. What it throws ends the iteration. */
  readonly toItem: (signal: CoordinationSignal) => T;
  /** Signals in all at the most. */
  readonly limit: number;
  /** Waits for the next turn of the event loop, in which the network is read. Where it is not given, nobody waits for it. */
  readonly nextTurn?: (() => Promise<void>) | undefined;
}

/**
 * Signals handed out in one turn of the event loop: a loop over what is there already lets nothing else run, so that the pages
 * that follow would neither arrive nor be asked for.
 */
const maxSignalsInTurn = 256;

/**
 * The signals of pages one by one. It does what an async generator does, for a signal that is there already in less than half
 * of the time: that waits for nobody.
 */
export class SignalIterator<T> implements AsyncGenerator<T, void, undefined> {
  readonly #options: SignalIteratorOptions<T>;
  #page: SignalPage | undefined;
  #left: number;
  #inThisTurn = 0;
  #failure: { readonly thrown: unknown } | undefined;
  #isOver = false;
  /** Calls that have not settled, and the last of them. */
  #calls = 0;
  #lastCall: Promise<void> = Promise.resolve();

  constructor(options: SignalIteratorOptions<T>) {
    this.#options = options;
    this.#left = options.limit;
  }

  /** Signals that may still be handed out. */
  get left(): number {
    return this.#left;
  }

  next(): Promise<IteratorResult<T, void>> {
    const taken = this.#calls === 0 ? this.#take() : undefined;
    return taken === undefined ? this.#inTurn(() => this.#advance()) : Promise.resolve(taken);
  }

  return(value?: void | PromiseLike<void>): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      await this.#end();
      return { done: true, value: await value };
    });
  }

  throw(thrown: unknown): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      await this.#end();
      throw thrown;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** The next signal of the page that is there; `undefined` when it has no more, or cannot be handed out. */
  #take(): IteratorResult<T, void> | undefined {
    if (this.#page === undefined || this.#left <= 0 || this.#failure !== undefined) return undefined;
    if (this.#inThisTurn >= maxSignalsInTurn) return undefined;
    try {
      const signal = this.#page.take();
      if (signal === undefined) return undefined;
      const value = this.#options.toItem(signal);
      this.#left -= 1;
      this.#inThisTurn += 1;
      return { done: false, value };
    } catch (thrown) {
      this.#failure = { thrown };
      return undefined;
    }
  }

  async #advance(): Promise<IteratorResult<T, void>> {
    try {
      while (!this.#isOver && this.#left > 0) {
        if (this.#inThisTurn >= maxSignalsInTurn) {
          await this.#options.nextTurn?.();
          this.#inThisTurn = 0;
        }
        const taken = this.#take();
        if (taken !== undefined) return taken;
        if (this.#failure !== undefined) throw errorFromConnect(this.#failure.thrown);
        this.#page = undefined;
        const { value } = await this.#options.pages.next();
        if (value === undefined) break;
        this.#page = value;
      }
    } catch (thrown) {
      await this.#end();
      throw thrown;
    }
    await this.#end();
    return { done: true, value: undefined };
  }

  async #end(): Promise<void> {
    this.#isOver = true;
    this.#page = undefined;
    await this.#options.pages.return();
  }

  /** Runs a call when those before it have settled. */
  #inTurn<R>(run: () => Promise<R>): Promise<R> {
    const call = this.#calls === 0 ? run() : this.#lastCall.then(run);
    this.#calls += 1;
    const settled = () => {
      this.#calls -= 1;
    };
    this.#lastCall = call.then(settled, settled);
    return call;
  }
}
