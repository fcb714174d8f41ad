import { CoordinationError } from "../../model/coordination-error.js";
import { laterOf } from "../../model/cursor.js";
import { maxResponseBytes } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import { withinBudget } from "../../model/within-budget.js";
import type { OpenSubscription, SessionState } from "../../state/session-state.js";
import { sequenceKey } from "../../state/subscription-record.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import type { SignalView } from "../signal-view.js";
import { checkNotRolledBack } from "../subscription-start.js";
import { type DeliveryItem, shuttingDown, type TailItem } from "../tail-item.js";
import { subscriptionNotFound } from "./acknowledgement-errors.js";
import type { ClaimedSignal } from "./claim-operation.js";
import type { Consumer, Grant } from "./consumer.js";
import type { Dispatcher } from "./dispatcher.js";
import type { LeaseClock } from "./lease-clock.js";
import type { SubscriptionMatcher } from "./subscription-matcher.js";

/** What a consumer's stream works with. */
export interface ConsumerStreamOptions {
  readonly session: SessionState;
  readonly dispatcher: Dispatcher;
  readonly consumer: Consumer;
  readonly matcher: SubscriptionMatcher;
  readonly clock: LeaseClock;
  /** What the consumer sees of its signals, all of which it gets. */
  readonly view: SignalView;
  readonly checkpointIntervalMs: number;
  /** Aborted when the consumer has gone: the stream ends without a word. */
  readonly abort: AbortSignal;
  readonly isDraining: () => boolean;
  /** Where the position is shown to others. */
  readonly subscription: OpenSubscription;
  /** Called when a batch was taken by the consumer's connection. */
  readonly onDelivered: (entries: readonly LogEntry[], liveSinceMs: number | undefined) => void;
}

/** What one consumer of a named subscription is told: a reader as others are, whose signals its dispatcher picks. */
export class ConsumerStream {
  readonly #options: ConsumerStreamOptions;
  readonly #epoch: string;
  #generation: number;
  /** The range of which the consumer was told ends here. */
  #reported: bigint;
  /** The last sequence of which it was told anything: in order of priority, urgent signals lie beyond the range. */
  #told: bigint;
  #reportedAtMs = 0;
  #hasCaughtUp = false;

  constructor(options: ConsumerStreamOptions) {
    this.#options = options;
    const { header } = options.session;
    this.#epoch = header?.epoch ?? "";
    this.#generation = header?.generation ?? 0;
    this.#reported = options.dispatcher.position;
    this.#told = this.#reported;
  }

  /** Yields items until the consumer leaves, everything is settled and no more can come, or the server stops. */
  async *items(): AsyncGenerator<TailItem, void, undefined> {
    const { abort, consumer, isDraining } = this.#options;
    yield this.#subscribed();
    abort.addEventListener("abort", consumer.latch.set);
    try {
      while (!abort.aborted) {
        const header = this.#checkedHeader();
        const grant = consumer.take();
        if (grant !== undefined) {
          yield* this.#batches(grant);
        } else if (isDraining()) {
          yield this.#checkpoint();
          throw shuttingDown("join the subscription again");
        } else if (this.#options.dispatcher.isDone) {
          return yield* this.#reportRest();
        } else if (!this.#hasCaughtUp && this.#isAtHead(header)) {
          yield* this.#announceCaughtUp();
        } else if (await this.#waitUntilReportIsDue()) {
          yield this.#checkpoint();
        }
      }
    } finally {
      abort.removeEventListener("abort", consumer.latch.set);
    }
  }

  #subscribed(): TailItem {
    this.#reportedAtMs = this.#options.clock.monotonicMs();
    const headSequence = this.#options.session.header?.headSequence ?? 0n;
    return { kind: "subscribed", epoch: this.#epoch, headSequence, cursor: "" };
  }

  /** Throws COORDINATION_NOT_FOUND, ROLLED_BACK, SUBSCRIPTION_NOT_FOUND. */
  #checkedHeader(): CoordinationHeader {
    const { session, dispatcher } = this.#options;
    const { header, coordinationId, named } = session;
    if (header === undefined || header.epoch !== this.#epoch) {
      throw new CoordinationError("COORDINATION_NOT_FOUND", `coordination "${coordinationId}" was deleted`, {
        metadata: { coordination_id: coordinationId },
      });
    }
    if (header.generation !== this.#generation) {
      checkNotRolledBack({ sequences: [this.#told], generation: this.#generation }, header);
      this.#generation = header.generation;
    }
    const { name, secret } = dispatcher.subscription;
    if (named.definitions.get(name)?.secret !== secret) throw subscriptionNotFound(coordinationId, name);
    return header;
  }

  #isAtHead({ headSequence }: CoordinationHeader): boolean {
    return this.#options.dispatcher.position >= headSequence;
  }

  async *#batches({ signals: given, throughSequence, liveSinceMs }: Grant): AsyncGenerator<TailItem, void, undefined> {
    // What was rolled back or deleted while it was on its way here is nobody's any more.
    const signals = given.filter((claimed) => this.#isStillLeased(claimed));
    for await (const part of this.#parts(signals)) {
      const isLast = part.at(-1)?.claimed === signals.at(-1);
      const afterSequence = this.#report(isLast ? throughSequence : this.#throughPart(part));
      for (const { entry } of part) this.#told = laterOf(this.#told, entry.sequence);
      const entries = part.map(({ entry }) => entry);
      const deliveries = part.map(({ claimed }) => deliveryOf(claimed));
      yield { kind: "batch", entries, deliveries, afterSequence, throughSequence: this.#reported, cursor: "" };
      // How fast a signal travelled the first time says nothing of the next.
      const isFirst = part.map(({ claimed }) => claimed.attempt === 1);
      this.#options.onDelivered(
        entries.filter((_, index) => isFirst[index]),
        liveSinceMs,
      );
      this.#options.onDelivered(
        entries.filter((_, index) => !isFirst[index]),
        undefined,
      );
    }
  }

  /** How far everything was told of with a part that others follow; in order of priority only the last says so. */
  #throughPart(part: readonly SeenSignal[]): bigint {
    if (this.#options.dispatcher.subscription.order === "priority") return 0n;
    return part.at(-1)?.claimed.entry.sequence ?? 0n;
  }

  #isStillLeased({ entry, claim }: ClaimedSignal): boolean {
    const { session, dispatcher } = this.#options;
    const record = session.named.deliveriesOf(dispatcher.subscription.name).get(sequenceKey(entry.sequence));
    return record?.claim === claim && record.lease !== undefined;
  }

  /** The signals as the consumer sees them, in parts of at most 1 MiB. Those that its transform is too dear for are refused. */
  async *#parts(signals: readonly ClaimedSignal[]): AsyncGenerator<readonly SeenSignal[], void, undefined> {
    const { view, dispatcher, abort } = this.#options;
    let part: SeenSignal[] = [];
    let bytes = 0;
    for (const claimed of signals) {
      const turn = view.turns?.nextIfOver(abort);
      if (turn !== undefined) await turn;
      if (abort.aborted) return;
      const entry = withinBudget(() => view.see(claimed.entry) ?? claimed.entry);
      const isRefused = entry instanceof CoordinationError;
      // A refusal takes a commit: nothing that can be handed out waits for it.
      if (part.length > 0 && (isRefused || bytes + entry.bytes.length > maxResponseBytes)) {
        yield part;
        part = [];
        bytes = 0;
      }
      if (!isRefused) {
        part.push({ claimed, entry });
        bytes += entry.bytes.length;
        continue;
      }
      await dispatcher.refuse(claimed, entry);
      if (abort.aborted) return;
    }
    if (part.length > 0) yield part;
  }

  *#announceCaughtUp(): Generator<TailItem, void, undefined> {
    yield* this.#reportRest();
    this.#hasCaughtUp = true;
    yield { kind: "caughtUp", throughSequence: this.#reported, cursor: "" };
  }

  *#reportRest(): Generator<TailItem, void, undefined> {
    if (this.#reported < this.#options.dispatcher.position) yield this.#checkpoint();
  }

  #checkpoint(): TailItem {
    const afterSequence = this.#report(this.#options.dispatcher.position);
    return { kind: "checkpoint", afterSequence, throughSequence: this.#reported, cursor: "" };
  }

  /** Marks everything through a sequence as told; returns what was told before. */
  #report(throughSequence: bigint): bigint {
    const before = this.#reported;
    this.#reported = laterOf(before, throughSequence);
    this.#told = laterOf(this.#told, this.#reported);
    this.#reportedAtMs = this.#options.clock.monotonicMs();
    this.#options.subscription.positionSequence = this.#reported;
    return before;
  }

  /** Waits until there may be something to do. Returns whether it is time to report a position. */
  async #waitUntilReportIsDue(): Promise<boolean> {
    const { consumer, dispatcher, clock, checkpointIntervalMs, matcher } = this.#options;
    consumer.ready();
    dispatcher.wake();
    const dueMs = this.#reportedAtMs + checkpointIntervalMs - clock.monotonicMs();
    const { beforeTimeMs } = matcher.filter;
    const endsInMs = beforeTimeMs === undefined ? Number.POSITIVE_INFINITY : beforeTimeMs - clock.nowMs();
    const untilMs = endsInMs > 0 ? Math.min(dueMs, endsInMs) : dueMs;
    await consumer.latch.nextWithin(Math.max(0, untilMs));
    consumer.pause();
    consumer.throwIfFailed();
    return !consumer.hasGrant && clock.monotonicMs() - this.#reportedAtMs >= checkpointIntervalMs;
  }
}

/** A signal that is leased, and what its consumer sees of it. */
interface SeenSignal {
  readonly claimed: ClaimedSignal;
  readonly entry: LogEntry;
}

function deliveryOf({ deliveryId, attempt, deadlineMs }: ClaimedSignal): DeliveryItem {
  return { deliveryId, attempt, deadlineMs };
}
