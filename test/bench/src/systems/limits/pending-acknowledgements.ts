/** Sends on a stream whose acknowledgements are counts: the n-th send is settled by the first count of n or more. */
export class PendingAcknowledgements {
  #waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #settled = 0;

  /** Resolves when the next send is acknowledged. */
  next(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Takes note that so many sends have been stored since the beginning. */
  acknowledged(count: number): void {
    const settled = this.#waiting.splice(0, count - this.#settled);
    this.#settled += settled.length;
    for (const { resolve } of settled) resolve();
  }

  /** Fails what is not settled. */
  fail(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
