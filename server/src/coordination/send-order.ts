import { CoordinationError } from "../model/coordination-error.js";
import type { Operation } from "../state/operation.js";

/**
 * Sends of one client that are begun one after another, before those ahead of them are answered. When one of them fails in a
 * way that the client will repeat, those behind it fail likewise: stored, they would have overtaken it.
 */
export class SendOrder {
  #failure: CoordinationError | undefined;

  /** Why nothing more of this order is stored; undefined while all is well. */
  get failure(): CoordinationError | undefined {
    return this.#failure;
  }

  /** Notes how a send failed. */
  failed(error: unknown): void {
    if (error instanceof CoordinationError && error.retryDelayMs !== undefined) this.#failure ??= error;
  }

  /** The operation, which takes its place in this order. */
  keep<T>(operation: Operation<T>): Operation<T> {
    return {
      ...operation,
      run: (draft) => {
        if (this.#failure !== undefined) throw this.#failure;
        return operation.run(draft);
      },
      onRejected: (error) => this.failed(error),
    };
  }
}
