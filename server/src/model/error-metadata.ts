import { cutTextToBytes } from "./cut-text.js";
import { maxErrorMetadataBytes, maxErrorTextBytes } from "./limits.js";

/** Bytes of a list of names: a long one leaves room for what else there is to tell. */
const maxNamesBytes = 1_600;

/**
 * The facts of one error, as many as every client can read. They travel in HTTP/2 trailers: with one fact too many a client would
 * get none of them.
 */
export class ErrorMetadata {
  readonly facts: Record<string, string> = {};
  #leftBytes = maxErrorMetadataBytes;

  /** Adds a fact if there is room for all of it; answers whether there was. */
  add(key: string, value: string): boolean {
    const leftBytes = this.#leftBytes - entryBytes(key) - Buffer.byteLength(value);
    if (leftBytes < 0) return false;
    this.#leftBytes = leftBytes;
    this.facts[key] = value;
    return true;
  }

  /** As `add`, of a text for people: its beginning where it is long. */
  addText(key: string, text: string): boolean {
    return this.add(key, cutTextToBytes(text, maxErrorTextBytes));
  }

  /** Adds names, separated by commas: the first `maxNames` if there is room. Says how many there are when some are left out. */
  addNames(key: string, names: readonly string[], maxNames: number): void {
    const countKey = `${key}_count`;
    const room = this.#leftBytes - entryBytes(key) - entryBytes(countKey) - String(names.length).length;
    const shown = namesThatFit(names.slice(0, maxNames), Math.min(maxNamesBytes, room));
    this.add(key, shown.join(","));
    if (shown.length < names.length) this.add(countKey, String(names.length));
  }
}

/** What an entry takes beside its value: its key, and tags and lengths. */
function entryBytes(key: string): number {
  return key.length + 12;
}

function namesThatFit(names: readonly string[], maxBytes: number): readonly string[] {
  let bytes = 0;
  const end = names.findIndex((name) => {
    bytes += Buffer.byteLength(name) + 1;
    return bytes > maxBytes;
  });
  return end === -1 ? names : names.slice(0, end);
}
