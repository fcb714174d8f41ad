import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { AckItem, AckOutcome } from "../../server/src/delivery/acknowledged/acknowledge-operation.js";
import type { DeliveryOrder } from "../../server/src/delivery/reading-order.js";
import type { TailItem } from "../../server/src/delivery/tail-item.js";
import type { LogEntry } from "../../server/src/model/log-entry.js";
import { compileSignalFilter } from "../../server/src/model/signal-filter.js";
import { keptFilter } from "../../server/src/rpc/kept-filter.js";
import type { SignalCoordinator } from "../../server/src/signal-coordinator.js";
import type { SubscriptionPolicy } from "../../server/src/state/subscription-record.js";

/** What a test says of a named subscription of "c" that everything concerns, from the earliest. */
export interface NamedParts {
  readonly agentId?: string;
  readonly order?: DeliveryOrder;
  readonly filter?: MessageInitShape<typeof SignalFilterSchema>;
  readonly policy?: Partial<SubscriptionPolicy>;
}

/** A signal that a consumer was handed, with what to acknowledge. */
export interface HandedSignal {
  readonly entry: LogEntry;
  readonly deliveryId: string;
  readonly attempt: number;
}

const name = "work";
// A consumer that is handed nothing for so long has missed it.
const patienceMs = 10_000;

/** One consumer of the subscription "work", without a network. */
export class NamedConsumer {
  /** Everything it was handed. */
  readonly handed: HandedSignal[] = [];
  readonly #coordinator: SignalCoordinator;
  readonly #abort = new AbortController();
  readonly #items: AsyncGenerator<TailItem, void, undefined>;

  constructor(coordinator: SignalCoordinator, { agentId = "", order = "sequence", filter, policy }: NamedParts = {}) {
    this.#coordinator = coordinator;
    const request = {
      coordinationId: "c",
      agentId,
      start: { at: "earliest" as const },
      includeOwn: false,
      checkpointIntervalMs: 40_000,
      filter: compileSignalFilter(undefined),
    };
    const definition = {
      agentId,
      filter: keptFilter(filter && create(SignalFilterSchema, filter)) ?? "",
      start: { at: "earliest" as const },
      order: order === "priority" ? order : undefined,
      includeOwn: false,
      policy: {
        ackDeadlineMs: 3_600_000,
        maxDeliveryAttempts: 1_000,
        minBackoffMs: 0,
        maxBackoffMs: 0,
        maxOutstanding: 1_000,
        ...policy,
      },
    };
    const named = { name, definition, agreesWithAnyStart: false };
    this.#items = coordinator.subscribe({ ...request, named }, this.#abort.signal);
  }

  /** Joins. */
  async join(): Promise<this> {
    await this.#items.next();
    return this;
  }

  /** Takes items until it was handed so many signals in all. */
  async untilHanded(count: number): Promise<void> {
    const timer = setTimeout(() => this.#abort.abort(), patienceMs);
    while (this.handed.length < count) {
      const { value, done } = await this.#items.next();
      if (done) throw new Error(`ended after ${this.handed.length} of ${count} signals`);
      if (value.kind !== "batch") continue;
      for (const [index, entry] of value.entries.entries()) {
        const { deliveryId = "", attempt = 0 } = value.deliveries?.[index] ?? {};
        this.handed.push({ entry, deliveryId, attempt });
      }
    }
    clearTimeout(timer);
  }

  /** Takes items until there are no more. */
  async untilEnd(): Promise<void> {
    const timer = setTimeout(() => this.#abort.abort(new Error("it goes on")), patienceMs);
    while ((await this.#items.next()).done !== true);
    clearTimeout(timer);
    this.#abort.signal.throwIfAborted();
  }

  /** Acknowledges in one commit; without an action, that it is done. */
  acknowledge(
    signals: readonly HandedSignal[],
    action: AckItem["action"] = "ack",
    delayMs?: number,
  ): Promise<readonly AckOutcome[]> {
    const items = signals.map(({ deliveryId }) => ({ deliveryId, action, reason: "", delayMs }));
    return this.#coordinator.changingNamed.acknowledge("c", name, items);
  }

  /** Goes away, as a consumer whose connection is cut. */
  async leave(): Promise<void> {
    this.#abort.abort();
    await this.#items.return();
  }
}
