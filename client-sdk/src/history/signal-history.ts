import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
  HistoryOrder,
  type SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Caller } from "../calls/caller.js";
import { invalidOption } from "../errors/invalid-option.js";
import { readPages, readPagesAhead } from "../read-pages.js";
import { assertOfTypes } from "../signals/assert-of-types.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
  signalFilterKeys,
} from "../signals/signal-filter.js";
import type { SignalEventCase, TypedSignal } from "../signals/typed-signal.js";

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
  readonly caller: Caller;
  readonly coordinationId: string;
}

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
    this.#environment = environment;
    this.#options = options;
    this.#request = create(GetSignalHistoryRequestSchema, {
      coordinationId: environment.coordinationId,
      filter: signalFilterFrom(options),
      pageSize: options.pageSize ?? 0,
      order,
    });
  }

  /** Hands out the signals one by one, at most `limit`. From the second page on the next is read meanwhile. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TypedSignal<Case>, void, undefined> {
    let left = this.#options.limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    const pages = readPagesAhead((pageToken, signal) => this.#read(pageToken, signal), {
      signal: this.#options.signal,
      isNextWanted: ({ signals }) => signals.length < left,
    });
    for await (const { signals } of pages) {
      for (const signal of signals) {
        yield signal;
        left -= 1;
        if (left <= 0) return;
      }
    }
  }

  /** Hands out the pages one by one. */
  pages(): AsyncGenerator<HistoryPage<Case>, void, undefined> {
    return readPages((pageToken) => this.page(pageToken));
  }

  /** Reads one page: the first, or the one that the token of the page before names. */
  page(pageToken = ""): Promise<HistoryPage<Case>> {
    return this.#read(pageToken, this.#options.signal);
  }

  async #read(pageToken: string, signal: AbortSignal | undefined): Promise<HistoryPage<Case>> {
    const { client, caller } = this.#environment;
    const request = { ...this.#request, pageToken };
    const response = await caller.call((attempt) => client.getSignalHistory(request, attempt), { signal });
    return {
      signals: response.signals.map((signal) => assertOfTypes(signal, this.#options.types)),
      nextPageToken: response.nextPageToken === "" ? undefined : response.nextPageToken,
    };
  }
}
