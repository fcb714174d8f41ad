import { cancelledError } from "../errors/cancelled-error.js";
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
  /** Signals in one page at the most. */
  readonly pageSize: number;
  /** Whether more signals are wanted than so many that have not been handed out yet. */
  readonly wantsMoreThan: (signals: number) => boolean;
}

/**
 * Hands out pages, and asks for those that follow as soon as they are named: the next one while the rest of a page is awaited,
 * and the one after it while a page is handed out. At most two pages wait beside the one that is handed out. What is on its way
 * when the reader leaves is cancelled.
 */
export async function* readPagesAhead(options: ReadAheadOptions): AsyncGenerator<SignalPage, void, undefined> {
  const { readPage, pageSize, wantsMoreThan } = options;
  const reading = linkAbort(options.signal);
  const ask = (pageToken: string) => new AskedPage(pageToken, readPage, reading.signal);
  const askIfMoreThan = (signals: number) => (pageToken: string) =>
    wantsMoreThan(signals) ? ask(pageToken) : undefined;
  try {
    let asked = ask("");
    for (;;) {
      asked.whenNextIsNamed(askIfMoreThan(pageSize));
      const page = await asked.page;
      // It may have come before.
      if (options.signal?.aborted) throw cancelledError(options.signal);
      const { nextPageToken } = page;
      const isNew = nextPageToken !== "" && nextPageToken !== asked.pageToken;
      // Another one may have been named by an attempt that failed after it.
      const ahead = asked.next?.pageToken === nextPageToken ? asked.next : undefined;
      const next = ahead ?? (isNew ? askIfMoreThan(page.size)(nextPageToken) : undefined);
      next?.whenNextIsNamed(askIfMoreThan(page.size + pageSize));
      yield page;
      if (nextPageToken === "") return;
      if (!isNew) throw repeatedPage();
      asked = next ?? ask(nextPageToken);
    }
  } finally {
    reading.abort(undefined);
  }
}

/** A page that is on its way, or has come. */
class AskedPage {
  readonly pageToken: string;
  readonly page: Promise<SignalPage>;
  /** The page after it, where that has been asked for before this one was complete. */
  next: AskedPage | undefined;
  #nextPageToken: string | undefined;
  #askNext: ((pageToken: string) => AskedPage | undefined) | undefined;

  constructor(pageToken: string, readPage: ReadPage, signal: AbortSignal) {
    this.pageToken = pageToken;
    this.page = readPage(pageToken, signal, (next) => this.#named(next));
    // Whoever leaves does not learn of it; whoever stays does, when it is its turn.
    this.page.catch(() => undefined);
  }

  /** Asks so for the page after it once its beginning has named that, now where it has already. */
  whenNextIsNamed(askNext: (pageToken: string) => AskedPage | undefined): void {
    this.#askNext = askNext;
    if (this.#nextPageToken !== undefined) this.#named(this.#nextPageToken);
  }

  #named(nextPageToken: string): void {
    this.#nextPageToken = nextPageToken;
    if (nextPageToken !== this.pageToken) this.next ??= this.#askNext?.(nextPageToken);
  }
}
