import { InternalError } from "./errors/coordination-client-error.js";

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

/** What a token that leads nowhere is answered with. */
export function repeatedPage(): InternalError {
  const message = "the server answers the same next_page_token again";
  return new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
