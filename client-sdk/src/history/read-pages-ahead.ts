import { repeatedPage } from "../read-pages.js";
import { linkAbort } from "../time/linked-abort.js";
import type { SignalPage } from "../transport/signal-page.js";

/** Reads the page that a token names. May tell the next one's token before the page is complete. */
export type ReadPage = (
  pageToken: string,
  signal: AbortSignal,
  onNextPageToken: (pageToken: string) => void,
) => Promise<SignalPage>;

/** How pages are read ahead. */
export interface ReadAheadOptions {
  readonly readPage: ReadPage;
  /** Gives up. */
  readonly signal: AbortSignal | undefined;
  /** Whether what follows a page will be wanted once that page has been handed out; `undefined` while it is on its way. */
  readonly isNextWanted: (page: SignalPage | undefined) => boolean;
}

/**
 * Hands out pages; the next one is on its way while a page is handed out, and while the rest of it is awaited. At most one
 * page waits beside the one that is handed out. What is on its way when the reader leaves is cancelled.
 */
export async function* readPagesAhead(options: ReadAheadOptions): AsyncGenerator<SignalPage, void, undefined> {
  const reading = linkAbort(options.signal);
  const ask = (pageToken: string) => new AskedPage(pageToken, options.readPage, reading.signal);
  try {
    let asked = ask("");
    for (;;) {
      const page = await asked.whole((pageToken) => (options.isNextWanted(undefined) ? ask(pageToken) : undefined));
      const { nextPageToken } = page;
      const isNew = nextPageToken !== "" && nextPageToken !== asked.pageToken;
      // Another one may have been named by an attempt that failed after it.
      const ahead = asked.next?.pageToken === nextPageToken ? asked.next : undefined;
      const next = ahead ?? (isNew && options.isNextWanted(page) ? ask(nextPageToken) : undefined);
      yield page;
      if (nextPageToken === "") return;
      if (!isNew) throw repeatedPage();
      asked = next ?? ask(nextPageToken);
    }
  } finally {
    reading.abort(undefined);
  }
}

/** A page that is on its way. */
class AskedPage {
  readonly pageToken: string;
  readonly #page: Promise<SignalPage>;
  /** What the page itself has named, as far as it has come. */
  #nextPageToken: string | undefined;
  #askNext: ((pageToken: string) => AskedPage | undefined) | undefined;
  /** The page after it, where that has been asked for before this one was complete. */
  next: AskedPage | undefined;

  constructor(pageToken: string, readPage: ReadPage, signal: AbortSignal) {
    this.pageToken = pageToken;
    this.#page = readPage(pageToken, signal, (next) => this.#named(next));
    // Whoever leaves does not learn of it; whoever stays does, when it is its turn.
    this.#page.catch(() => undefined);
  }

  /** Resolves when it is complete. Asks for the next one, once that is named. */
  whole(askNext: (pageToken: string) => AskedPage | undefined): Promise<SignalPage> {
    this.#askNext = askNext;
    if (this.#nextPageToken !== undefined) this.#named(this.#nextPageToken);
    return this.#page;
  }

  #named(nextPageToken: string): void {
    this.#nextPageToken = nextPageToken;
    if (nextPageToken !== this.pageToken) this.next ??= this.#askNext?.(nextPageToken);
  }
}
