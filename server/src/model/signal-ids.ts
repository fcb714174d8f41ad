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

const hexDigits = Buffer.from("0123456789abcdef");
const hyphen = 0x2d;
/** Bytes of the id behind whose digits a hyphen stands. */
const groupEnds: ReadonlySet<number> = new Set([3, 5, 7, 9]);

/** Makes ids as the ASCII in which they are stored: UUIDv7, each greater than those made before. */
class SignalIdGenerator {
  readonly #generator = new V7Generator(new BufferedRandom());
  readonly #text = Buffer.alloc(36, hyphen);

  /** Makes an id. It stands there until the next one is made. */
  next(): Uint8Array {
    const text = this.#text;
    let at = 0;
    const { bytes } = this.#generator.generate();
    for (let index = 0; index < bytes.length; index++) {
      const byte = bytes[index] ?? 0;
      text[at] = hexDigits[byte >> 4] ?? 0;
      text[at + 1] = hexDigits[byte & 15] ?? 0;
      at += groupEnds.has(index) ? 3 : 2;
    }
    return text;
  }
}

// One for the process, as the package's own is: its ids grow.
const generator = new SignalIdGenerator();

/** Makes the id of a signal, in ASCII. It stands there until the next one is made. */
export function nextSignalId(): Uint8Array {
  return generator.next();
}
