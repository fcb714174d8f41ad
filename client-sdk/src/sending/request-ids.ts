import { V7Generator } from "uuidv7";

/** Random numbers taken from the system at once: asking for each id's own costs more than the id. */
const bufferedNumbers = 1_024;

class BufferedRandom {
  readonly #numbers = new Uint32Array(bufferedNumbers);
  #next = bufferedNumbers;

  nextUint32(): number {
    if (this.#next >= bufferedNumbers) {
      crypto.getRandomValues(this.#numbers);
      this.#next = 0;
    }
    const number = this.#numbers[this.#next] ?? 0;
    this.#next += 1;
    return number;
  }
}

// One for the process, as the package's own is: its ids grow.
const generator = new V7Generator(new BufferedRandom());

/** Makes the id of a request: a UUIDv7, greater than those made before. */
export function newRequestId(): string {
  return generator.generate().toString();
}
