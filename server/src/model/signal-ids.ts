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
/** Where each byte's two digits stand in an id's text. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/** Makes ids as the ASCII in which they are stored: UUIDv7, each greater than those made before. */
class SignalIdGenerator {
  readonly #generator = new V7Generator(new BufferedRandom());
  readonly #text = Buffer.alloc(36, hyphen);

  /** Makes an id. It stands there until the next one is made. */
  next(): Buffer {
    const text = this.#text;
    const { bytes } = this.#generator.generate();
    for (let index = 0; index < places.length; index++) {
      const byte = bytes[index] ?? 0;
      const place = places[index] ?? 0;
      text[place] = hexDigits[byte >> 4] ?? 0;
      text[place + 1] = hexDigits[byte & 15] ?? 0;
    }
    return text;
  }
}

// One for the process, as the package's own is: its ids grow.
const generator = new SignalIdGenerator();

/** Makes an id of the same kind as text. It is one piece: the package's own text is put together of 36, which it keeps. */
export function nextId(): string {
  return generator.next().toString("latin1");
}

/** Makes the id of a signal, in ASCII. It stands there until the next one is made. */
export function nextSignalId(): Uint8Array {
  return generator.next();
}
