import { InternalError } from "./errors/coordination-client-error.js";
import { linkAbort } from "./time/linked-abort.js";

/** Something that comes in pages. */
export interface Page {
  /** Reads the next page; `undefined` after the last. */
  readonly nextPageToken: string | undefined;
}

/** Hands out pages, each read when it is asked for. Ends with the last; a token that leads nowhere is an error, not a loop. */
export async function* readPages<P extends Page>(
  readPage: (pageToken: string) => Promise<P>,
): AsyncGenerator<P, void, undefined> {
  let pageToken: string | undefined = "";
  while (pageToken !== undefined) {
    const page: P = await readPage(pageToken);
    yield page;
    if (page.nextPageToken === pageToken) throw repeatedPage();
    pageToken = page.nextPageToken;
  }
}

/** How pages are read ahead. */
export interface ReadAheadOptions<P extends Page> {
  /** Gives up. */
  readonly signal: AbortSignal | undefined;
  /** Whether what follows a page will be wanted when that page has been handed out. */
  readonly isNextWanted: (page: P) => boolean;
}

/**
 * As `readPages`, but from the second page on the next one is on its way while a page is handed out: whoever takes two is likely to
 * take more. What is on its way when the reader leaves is cancelled.
 */
export async function* readPagesAhead<P extends Page>(
  readPage: (pageToken: string, signal: AbortSignal) => Promise<P>,
  { signal, isNextWanted }: ReadAheadOptions<P>,
): AsyncGenerator<P, void, undefined> {
  const reading = linkAbort(signal);
  let pageToken: string | undefined = "";
  let ahead: Promise<P> | undefined;
  try {
    for (let isFirst = true; pageToken !== undefined; isFirst = false) {
      const page: P = await (ahead ?? readPage(pageToken, reading.signal));
      const { nextPageToken } = page;
      const isAhead = !isFirst && nextPageToken !== undefined && nextPageToken !== pageToken && isNextWanted(page);
      ahead = isAhead ? readPage(nextPageToken, reading.signal) : undefined;
      // Whoever leaves does not learn of it; whoever stays does, when it is its turn.
      ahead?.catch(() => undefined);
      yield page;
      if (nextPageToken === pageToken) throw repeatedPage();
      pageToken = nextPageToken;
    }
  } finally {
    reading.abort(undefined);
  }
}

function repeatedPage(): InternalError {
  const message = "the server answers the same next_page_token again";
  return new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
