import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type SignalFilter, SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { StoredSignal } from "../../server/src/coordination/stored-signal.js";
import type { HistoryPage } from "../../server/src/delivery/history.js";
import type { SubscriptionRequest } from "../../server/src/delivery/subscription.js";
import { MetricsCollector } from "../../server/src/metrics/metrics-collector.js";
import { type Clock, systemClock } from "../../server/src/model/clock.js";
import { FilterExpressionCompiler } from "../../server/src/model/filter-expression.js";
import { prepareSignal } from "../../server/src/model/prepare-signals.js";
import { type CompiledFilter, compileSignalFilter } from "../../server/src/model/signal-filter.js";
import type { WarningSink } from "../../server/src/registry/agent-validation.js";
import { SignalCoordinator, type SignalCoordinatorOptions } from "../../server/src/signal-coordinator.js";
import { FailStopStore } from "../../server/src/store/fail-stop-store.js";
import { openLmdbStore } from "../../server/src/store/lmdb/lmdb-signal-store.js";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import type { CoordinationHeader, SignalStore } from "../../server/src/store/signal-store.js";
import { messageRequest, type RequestParts } from "./log-entries.js";
import { SignalReader } from "./signal-reader.js";

/** What a test can say of a subscription; an observer of "c" from the latest when it says nothing. */
export type SubscriptionParts = Partial<Omit<SubscriptionRequest, "filter">> & {
  readonly filter?: FilterParts;
};

/** What a test can say of a filter. */
export type FilterParts = Exclude<MessageInitShape<typeof SignalFilterSchema>, SignalFilter>;

/** What a test can say of a page of history; the first from the oldest when it says nothing. */
export interface HistoryParts {
  readonly order?: "oldestFirst" | "newestFirst";
  readonly fromSequence?: bigint | undefined;
  readonly maxSignals?: number;
  readonly filter?: FilterParts;
}

/** What a test compares of a stored signal. */
export type StoredPlace = Pick<StoredSignal, "signalId" | "sequence" | "timestampMs" | "isDeduplicated" | "epoch">;

/** What became of one signal of several. */
export type PlaceOutcome =
  | { readonly stored: StoredPlace; readonly error?: undefined }
  | { readonly stored?: undefined; readonly error: unknown };

/** A coordinator on a store, and what it complained of. */
export class CoordinatorUnderTest {
  readonly coordinator: SignalCoordinator;
  readonly store: SignalStore;
  readonly metrics = new MetricsCollector({ processMetrics: false });
  readonly warnings: Parameters<WarningSink>[0][] = [];
  readonly backgroundErrors: unknown[] = [];
  readonly fatals: unknown[] = [];
  readonly #readers: SignalReader[] = [];

  constructor(options: Partial<SignalCoordinatorOptions> & { readonly clock?: Clock } = {}) {
    this.store = options.store ?? new MemorySignalStore();
    this.coordinator = new SignalCoordinator({
      clock: systemClock,
      metrics: this.metrics,
      retentionSignals: 10_000,
      retentionAgeMs: undefined,
      maxCoordinations: 100,
      maxSubscriptions: 2_000,
      senderValidation: "warn",
      recipientValidation: "enforce",
      waitValidation: "off",
      maxWaits: 2_000,
      busyStallMs: 300_000,
      waitingStallMs: 600_000,
      expressions: new FilterExpressionCompiler(),
      onWarning: (warning) => this.warnings.push(warning),
      onBackgroundError: (error) => this.backgroundErrors.push(error),
      onFatal: (error) => this.fatals.push(error),
      ...options,
      store: new FailStopStore(this.store, (error) => this.fatals.push(error)),
    });
  }

  /** Sends a message from "sender" to everyone in "c", with what differs. */
  async send(parts: RequestParts = {}): Promise<StoredPlace> {
    return placeOf(await this.coordinator.send(prepareSignal(messageRequest(parts))));
  }

  /** Sends as many plain messages, in one batch. */
  async fill(count: number, parts: RequestParts = {}): Promise<void> {
    const outcomes = await this.sendEach(Array.from({ length: count }, () => parts));
    for (const { error } of outcomes) if (error !== undefined) throw error;
  }

  async sendEach(parts: readonly RequestParts[]): Promise<readonly PlaceOutcome[]> {
    const outcomes = await this.coordinator.sendEach(parts.map((each) => prepareSignal(messageRequest(each))));
    return outcomes.map(({ stored, error }) => (stored === undefined ? { error } : { stored: placeOf(stored) }));
  }

  async sendAtomically(parts: readonly RequestParts[]): Promise<readonly StoredPlace[]> {
    const all = await this.coordinator.sendAtomically(parts.map((each) => prepareSignal(messageRequest(each))));
    return all.map(placeOf);
  }

  /** Opens a subscription whose items are taken one by one. `dispose` leaves those that are still open. */
  subscribe({ filter, ...parts }: SubscriptionParts = {}): SignalReader {
    const abort = new AbortController();
    const items = this.coordinator.subscribe(
      {
        coordinationId: "c",
        agentId: "",
        start: { at: "latest" },
        includeOwn: false,
        // Longer than a test may take: whoever waits for it has missed a wake-up.
        checkpointIntervalMs: 40_000,
        filter: filterOf(filter),
        ...parts,
      },
      abort.signal,
    );
    const reader = new SignalReader(items, abort, parts.order);
    this.#readers.push(reader);
    return reader;
  }

  /** Reads one page of "c" from an end of its history, or from behind a sequence. */
  history({
    order = "oldestFirst",
    fromSequence,
    maxSignals = 1_000,
    filter,
  }: HistoryParts = {}): Promise<HistoryPage> {
    return this.coordinator.readHistory("c", ({ oldestSequence, headSequence }) => ({
      order,
      fromSequence: fromSequence ?? (order === "oldestFirst" ? oldestSequence - 1n : headSequence + 1n),
      filter: filterOf(filter),
      maxSignals,
    }));
  }

  header(coordinationId = "c"): Promise<CoordinationHeader> {
    return this.coordinator.look(coordinationId, ({ header }) => header);
  }

  /** Leaves every subscription, closes, and fails when a subscription or a pin is left. */
  async dispose(): Promise<void> {
    for (const reader of this.#readers) await reader.leave();
    if (this.coordinator.openSubscriptions !== 0) {
      throw new Error(`${this.coordinator.openSubscriptions} subscriptions were left open`);
    }
    if (this.coordinator.waits.openCount !== 0)
      throw new Error(`${this.coordinator.waits.openCount} waits were left open`);
    await this.coordinator.close();
    await this.store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** A coordinator on an LMDB store in a directory of its own, which can be restarted. */
export async function openDurable(
  options: Partial<SignalCoordinatorOptions> = {},
): Promise<AsyncDisposable & { readonly current: CoordinatorUnderTest; restart(): Promise<CoordinatorUnderTest> }> {
  const directory = await mkdtemp(join(tmpdir(), "coordination-core-"));
  const start = async () => new CoordinatorUnderTest({ ...options, store: await openLmdbStore({ directory }) });
  let current = await start();
  return {
    get current() {
      return current;
    },
    restart: async () => {
      await current.dispose();
      current = await start();
      return current;
    },
    [Symbol.asyncDispose]: async () => {
      await current.dispose();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A compiled filter; without parts the one that matches everything. */
export function filterOf(parts: FilterParts | undefined): CompiledFilter {
  return compileSignalFilter(parts && create(SignalFilterSchema, parts));
}

function placeOf({ signalId, sequence, timestampMs, isDeduplicated, epoch }: StoredSignal): StoredPlace {
  return { signalId, sequence, timestampMs, isDeduplicated, epoch };
}
