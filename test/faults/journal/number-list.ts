/** A list of whole numbers from 0 to 2^53 - 1 that grows and takes eight bytes each. What was never set is 0. */
export class NumberList {
  #numbers = new Float64Array(1024);
  #length = 0;

  /** One more than the greatest index that was set. */
  get length(): number {
    return this.#length;
  }

  at(index: number): number {
    return this.#numbers[index] ?? 0;
  }

  set(index: number, value: number): void {
    if (index >= this.#numbers.length) {
      const grown = new Float64Array(Math.max(index + 1, 2 * this.#numbers.length));
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[index] = value;
    this.#length = Math.max(this.#length, index + 1);
  }
}
