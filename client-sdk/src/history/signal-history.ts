import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
  HistoryOrder,
  type SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Caller } from "../calls/caller.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import { invalidOption } from "../errors/invalid-option.js";
import { boundOrNoneRule, checkNumber } from "../options/check-number.js";
import { countFrom } from "../options/count-from.js";
import { readPages } from "../read-pages.js";
import { assertOfTypes } from "../signals/assert-of-types.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
  signalFilterKeys,
} from "../signals/signal-filter.js";
import type { SignalEventCase, TypedSignal } from "../signals/typed-signal.js";
import { pageOfMessage, type SignalPage } from "../transport/signal-page.js";
import type { PageOptions, SignalStreams } from "../transport/signal-streams.js";
import { readPagesAhead } from "./read-pages-ahead.js";
import { SignalIterator } from "./signal-iterator.js";

/** What to read from history, and how. */
export interface HistoryOptions<Case extends SignalEventCase = SignalEventCase> extends SignalFilterOptions<Case> {
  /** Which end to start from. Default "newestFirst". */
  readonly order?: "newestFirst" | "oldestFirst" | undefined;
  /** Signals in one page at the most, from 1 to 1,000. Default 100. Pages are also cut at 1 MiB. */
  readonly pageSize?: number | undefined;
  /** Signals in all at the most, when iterating over signals. Default: all there are. */
  readonly limit?: number | undefined;
  /** Gives up: the iteration throws CancelledError. */
  readonly signal?: AbortSignal | undefined;
}

/** Some signals of a coordination's history. */
export interface HistoryPage<Case extends SignalEventCase = SignalEventCase> {
  /** The signals, in the order asked for. A page can be short, even empty, and have a next one. */
  readonly signals: readonly TypedSignal<Case>[];
  /** Reads the next page; `undefined` after the last. */
  readonly nextPageToken: string | undefined;
}

/** What history is read with. */
export interface HistoryEnvironment {
  readonly client: Client<typeof SignalService>;
  /** Used in the place of `client` where the transport has them. */
  readonly streams: SignalStreams | undefined;
  readonly caller: Caller;
  readonly coordinationId: string;
}

type ReadOptions = Pick<HistoryOptions, "signal"> & Pick<PageOptions, "onNextPageToken">;

/** What the server takes 0 for. */
const defaultPageSize = 100;

const historyKeys = [
  ...signalFilterKeys,
  "order",
  "pageSize",
  "limit",
  "signal",
] as const satisfies readonly (keyof HistoryOptions)[];

const orders: Readonly<Record<string, HistoryOrder>> = {
  newestFirst: HistoryOrder.NEWEST_FIRST,
  oldestFirst: HistoryOrder.OLDEST_FIRST,
};

/**
 * A coordination's stored signals, read page by page as they are asked for. Iterating over it hands out signals; each
 * iteration begins anew. Throws NotFoundError while the coordination does not exist.
 */
export class SignalHistory<Case extends SignalEventCase = SignalEventCase> implements AsyncIterable<TypedSignal<Case>> {
  readonly #environment: HistoryEnvironment;
  readonly #options: HistoryOptions<Case>;
  readonly #request: GetSignalHistoryRequest;

  constructor(environment: HistoryEnvironment, options: HistoryOptions<Case>) {
    assertKnownOptions(options, historyKeys);
    const order = orders[options.order ?? "newestFirst"];
    if (order === undefined) throw invalidOption(`order is ${JSON.stringify(options.order)}, which is no order`);
    checkNumber("limit", options.limit, boundOrNoneRule);
    this.#environment = environment;
    this.#options = options;
    this.#request = create(GetSignalHistoryRequestSchema, {
      coordinationId: environment.coordinationId,
      filter: signalFilterFrom(options),
      pageSize: countFrom("pageSize", options.pageSize),
      order,
    });
  }

  /**
   * Hands out the signals one by one, at most `limit`. From the second page on, or from the first with a `limit`, the next one or two
   * are read meanwhile.
   */
  [Symbol.asyncIterator](): AsyncGenerator<TypedSignal<Case>, void, undefined> {
    const { limit, signal } = this.#options;
    let pages = 0;
    const iterator: SignalIterator<TypedSignal<Case>> = new SignalIterator({
      limit: limit ?? Number.POSITIVE_INFINITY,
      toItem: (item) => this.#typed(item),
      nextTurn: this.#environment.streams?.nextTurn,
      pages: readPagesAhead({
        signal,
        pageSize: this.#request.pageSize || defaultPageSize,
        readPage: (pageToken, reading, onNextPageToken) => {
          pages += 1;
          return this.#read(pageToken, { signal: reading, onNextPageToken });
        },
        // Whoever takes two pages, or says how many signals it wants, is likely to take more.
        wantsMoreThan: (signals) => (limit !== undefined || pages > 1) && iterator.left > signals,
      }),
    });
    return iterator;
  }

  /** Hands out the pages one by one. */
  pages(): AsyncGenerator<HistoryPage<Case>, void, undefined> {
    return readPages((pageToken) => this.page(pageToken));
  }

  /** Reads one page: the first, or the one that the token of the page before names. */
  async page(pageToken = ""): Promise<HistoryPage<Case>> {
    const page = await this.#read(pageToken, { signal: this.#options.signal });
    const signals: TypedSignal<Case>[] = [];
    try {
      for (let signal = page.take(); signal !== undefined; signal = page.take()) signals.push(this.#typed(signal));
    } catch (thrown) {
      throw errorFromConnect(thrown);
    }
    return { signals, nextPageToken: page.nextPageToken === "" ? undefined : page.nextPageToken };
  }

  #typed(signal: CoordinationSignal): TypedSignal<Case> {
    return assertOfTypes(signal, this.#options.types);
  }

  #read(pageToken: string, { signal, onNextPageToken }: ReadOptions): Promise<SignalPage> {
    const { client, streams, caller } = this.#environment;
    const request = { ...this.#request, pageToken };
    return caller.call(
      async (attempt) =>
        streams === undefined
          ? pageOfMessage(await client.getSignalHistory(request, attempt))
          : streams.readHistory(request, { ...attempt, onNextPageToken }),
      { signal },
    );
  }
}
