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

const hexDigits = new TextEncoder().encode("0123456789abcdef");
const hyphen = 0x2d;
/** Where each byte's two digits stand in an id's text. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const ascii = new Uint8Array(36).fill(hyphen);

/** Makes the id of a request: a UUIDv7, greater than those made before. */
export function newRequestId(): string {
  return generator.generate().toString();
}

/** The same in ASCII. It stands there until the next one is made. */
export function newRequestIdBytes(): Uint8Array {
  const { bytes } = generator.generate();
  for (let index = 0; index < places.length; index += 1) {
    const byte = bytes[index] ?? 0;
    const place = places[index] ?? 0;
    ascii[place] = hexDigits[byte >> 4] ?? 0;
    ascii[place + 1] = hexDigits[byte & 15] ?? 0;
  }
  return ascii;
}
