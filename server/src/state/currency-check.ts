import type { FindChanged } from "../store/signal-store.js";
import type { SessionState } from "./session-state.js";

type Look = Promise<ReadonlySet<string>>;

/**
 * Finds out whether coordinations are as new as the store's, many at a time: while one look is on its way those who come
 * gather for the next, so that however many ask there is one query at a time.
 */
export class CurrencyCheck {
  readonly #findChanged: FindChanged;
  #gathering = new Set<SessionState>();
  #running: Promise<unknown> = Promise.resolve();
  #next: Look | undefined;

  constructor(findChanged: FindChanged) {
    this.#findChanged = findChanged;
  }

  /** Whether a coordination was, at some moment of this call, as new as the store's. Rejects when the store does not answer. */
  async isCurrent(session: SessionState): Promise<boolean> {
    this.#gathering.add(session);
    this.#next ??= this.#lookAfter(this.#running);
    return !(await this.#next).has(session.coordinationId);
  }

  #lookAfter(previous: Promise<unknown>): Look {
    const look = previous.then(async () => {
      const known = Array.from(this.#gathering, ({ known: version }) => version);
      this.#gathering = new Set();
      this.#next = undefined;
      return new Set(await this.#findChanged(known));
    });
    this.#running = look.catch(() => undefined);
    return look;
  }
}
