import { setImmediate } from "node:timers/promises";
import { CoordinationError } from "../../model/coordination-error.js";
import { leastOf } from "../../model/cursor.js";
import { maxBatchSignals } from "../../model/limits.js";
import { plainOperation } from "../../state/operation.js";
import type { ParkedReader } from "../../state/reader-index.js";
import { placeAt, placeOfScan, type ScanPlace } from "../../state/scan-place.js";
import type { SessionState } from "../../state/session-state.js";
import type { DeliveryRecord, ScanRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import { WakeLatch } from "../../state/wake-latch.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import { type AcknowledgementEnvironment, isOfEndedProcess } from "./acknowledgement-environment.js";
import { assignToConsumers, type ReadyConsumer } from "./assign-to-consumers.js";
import { type ClaimedSignal, claim } from "./claim-operation.js";
import type { Consumer, Grant } from "./consumer.js";
import { passTrimmed } from "./pass-trimmed-operation.js";
import { priorityPicker } from "./pick-by-priority.js";
import { sequencePicker } from "./pick-in-sequence.js";
import { readyConsumers } from "./ready-consumers.js";
import { refuseUnseen } from "./refuse-unseen-operation.js";
import { release } from "./release-operation.js";
import { executeWithSignals } from "./signal-copies.js";
import type { PendingSignal, Picked, SignalPicker } from "./signal-picker.js";
import { isOver, isSpent, type Standing, standingOf } from "./standing.js";
import type { SubscriptionMatcher } from "./subscription-matcher.js";

/*
 * Hands a named subscription's signals to its consumers on this server. It looks at the state as it is: deliveries that are due,
 * and what of the log follows the scan. What it picks it claims in one commit, which fails if another server was faster, and only
 * what is claimed is handed out: no two consumers have one signal, and every attempt is counted before it is made. When
 * nothing is left it sleeps until a signal comes, a delivery changes or is due, or a consumer is ready. Nothing is queued.
 */

/** What a dispatcher works with. */
export interface DispatcherOptions {
  readonly environment: AcknowledgementEnvironment;
  readonly session: SessionState;
  readonly subscription: SubscriptionRecord;
  readonly matcher: SubscriptionMatcher;
  /** Called when its last consumer has left and it has ended. */
  readonly onEnded: () => void;
}

const retryMs = 200;
// A position that has moved so far without a match is stored, so that it need not be found again.
const storedStep = 1_024n;

/** Hands out one subscription's signals. */
export class Dispatcher {
  readonly subscription: SubscriptionRecord;
  readonly #options: DispatcherOptions;
  readonly #latch = new WakeLatch();
  /** In the order in which they were given something last. */
  readonly #consumers = new Set<Consumer>();
  readonly #picker: SignalPicker;
  /** Where it has got to without a match since the claim that the scan record is of. */
  #scanned: { readonly from: ScanRecord; readonly generation: number; readonly place: ScanPlace } | undefined;
  /** Since when nothing waited for room, on the monotonic clock; undefined while something does. */
  #liveSinceMs: number | undefined;
  readonly #parked: ParkedReader;
  #lastState = "";
  /** Whether signals that come next were found trimmed. */
  #hasMetTrimmed = false;
  #running: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.subscription = options.subscription;
    this.#parked = { interest: options.matcher.interest, wake: this.#latch.set };
    const source = { ...options, departure: this };
    this.#picker = options.subscription.order === "priority" ? priorityPicker(source) : sequencePicker(source);
  }

  /** Whether there is nobody to hand anything out to, or the server stops. */
  get aborted(): boolean {
    return this.#consumers.size === 0 || this.#options.environment.isDraining();
  }

  get consumerCount(): number {
    return this.#consumers.size;
  }

  /** Everything through this sequence was delivered or did not match. */
  get position(): bigint {
    return leastOf(this.#place().positions);
  }

  /** Whether nothing can come any more, to no consumer: all is scanned and settled, and the time is over or the log is closed. */
  get isDone(): boolean {
    const { environment, session, matcher } = this.#options;
    const { header } = session;
    if (header === undefined || this.position < header.headSequence) return false;
    if (session.named.deliveriesOf(this.subscription.name).size > 0) return false;
    const { beforeTimeMs } = matcher.filter;
    return (
      header.closeTimeMs !== undefined || (beforeTimeMs !== undefined && environment.clock.nowMs() >= beforeTimeMs)
    );
  }

  /** Begins to hand out signals to a consumer. */
  join(consumer: Consumer): void {
    this.#consumers.add(consumer);
    if (this.position >= (this.#options.session.header?.headSequence ?? 0n)) this.#nothingWaits();
    this.#running ??= this.#run();
    this.wake();
  }

  /** Hands out nothing more to a consumer. What it has is to be taken back by `takeBack`. */
  leave(consumer: Consumer): void {
    this.#consumers.delete(consumer);
    this.wake();
  }

  /** Makes it look. */
  wake(): void {
    this.#latch.set();
  }

  /** Takes back what a consumer has that has left. */
  async takeBack(consumer: Consumer): Promise<void> {
    const { environment, session } = this.#options;
    const isItsOwn = ({ lease }: DeliveryRecord): boolean =>
      lease?.consumer === consumer.id && lease.owner === environment.owner;
    const { released, buried } = await this.#release(isItsOwn);
    environment.metrics.deliveriesEnded("released", released + buried);
    if (session.header !== undefined) this.wake();
  }

  /** Takes back one signal from a consumer whose transform is too dear for it; see `refuseUnseen`. */
  async refuse(claimed: ClaimedSignal, { message: detail }: CoordinationError): Promise<void> {
    const { environment, session } = this.#options;
    const { clock, metrics } = environment;
    const outcome = await executeWithSignals(environment, session, (draft, copies) =>
      refuseUnseen(draft, this.subscription, { claimed, detail, copies, nowMs: clock.nowMs() }),
    );
    if (outcome !== undefined) metrics.deliveriesEnded("refused", 1);
    if (outcome === "buried") metrics.deadLettersMade("filterBudget", 1);
  }

  async #run(): Promise<void> {
    const { session } = this.#options;
    const unwatch = session.named.watch(this.subscription.name, this.#latch.set);
    try {
      while (this.#consumers.size > 0) await this.#step();
    } finally {
      unwatch();
      session.readers.leave(this.#parked);
      this.#options.onEnded();
    }
  }

  async #step(): Promise<void> {
    this.#options.session.readers.park(this.#parked);
    try {
      const standing = this.#standing();
      if (standing !== undefined && !this.aborted && (await this.#turn(standing))) return;
      this.#tellConsumers();
      await this.#sleep(standing);
    } catch (error) {
      await this.#recover(error);
    }
  }

  /** Does what there is to do now; false when there is nothing. */
  async #turn(standing: Standing): Promise<boolean> {
    if (this.#hasMetTrimmed) {
      await this.#passTrimmed();
      return true;
    }
    if (standing.hasExhausted) {
      await this.#buryExhausted();
      return true;
    }
    const ready = readyConsumers(this.#consumers, standing.leased, this.subscription.policy.maxOutstanding);
    return ready.length > 0 && this.#handOut(standing, ready);
  }

  /** What comes next was trimmed while it was read, here or by another server: what is known here is brought up to date. */
  async #passTrimmed(): Promise<void> {
    const { environment, session } = this.#options;
    const { directory, metrics } = environment;
    await directory.withLatest(session.coordinationId, () => undefined);
    const passed = await directory.execute(
      session.coordinationId,
      plainOperation((draft) => passTrimmed(draft, this.subscription)),
    );
    metrics.deadLettersMade("retention", passed);
    this.#hasMetTrimmed = false;
    // Whatever has moved the subscription has woken this. Where nothing has, the same would be found again at once.
    await this.#latch.nextWithin(retryMs);
  }

  async #handOut(standing: Standing, ready: readonly ReadyConsumer[]): Promise<boolean> {
    const { session } = this.#options;
    const { header } = session;
    const seen = session.named.scans.get(this.subscription.name);
    if (header === undefined || seen === undefined) return false;
    const capacity = ready.reduce((sum, consumer) => sum + consumer.capacity, 0);
    const picked = await this.#picker.pick(this.#place(), {
      due: standing.due,
      room: standing.room,
      capacity: Math.min(maxBatchSignals, capacity),
    });
    const { signals, unanswered, place } = picked;
    const liveSinceMs = this.#noteRoom(picked, header);
    const step = leastOf(place.positions) - BigInt(seen.throughSequence);
    if (signals.length === 0 && unanswered.length === 0 && step < storedStep) {
      // A long stretch without a match must not keep everybody else from running.
      await setImmediate();
      return this.#moveTo(place, header);
    }
    await this.#claim({ picked, ready, header, seen, liveSinceMs });
    return true;
  }

  /** Notes whether something waits for room. Returns since when nothing had when these were picked. */
  #noteRoom({ isHeldUp, place }: Picked, { headSequence }: CoordinationHeader): number | undefined {
    const before = this.#liveSinceMs;
    if (isHeldUp) this.#liveSinceMs = undefined;
    else if (leastOf(place.positions) >= headSequence) this.#nothingWaits();
    return before;
  }

  #nothingWaits(): void {
    this.#liveSinceMs ??= this.#options.environment.clock.monotonicMs();
  }

  async #claim({
    picked: { signals, unanswered, place },
    ready,
    header,
    seen,
    liveSinceMs,
  }: {
    readonly picked: Picked;
    readonly ready: readonly ReadyConsumer[];
    readonly header: CoordinationHeader;
    readonly seen: ScanRecord;
    readonly liveSinceMs: number | undefined;
  }): Promise<void> {
    const { environment, session, subscription } = this.#options;
    const { directory, clock, owner, metrics } = environment;
    const assigned = assignToConsumers(subscription, signals, ready);
    const claimed = await directory.execute(
      session.coordinationId,
      plainOperation((draft) =>
        claim(
          draft,
          {
            subscription,
            seen,
            seenGeneration: header.generation,
            place,
            signals: assigned.map(({ signal, consumer }) => ({ ...signal, lease: { owner, consumer: consumer.id } })),
            unanswered,
          },
          { nowMs: clock.nowMs(), isClaimable: (record) => this.#isClaimable(record) },
        ),
      ),
    );
    // Another server, a rollback or a trim was here: look again.
    this.#scanned = undefined;
    if (claimed === undefined) return;
    metrics.deliveriesEnded("expired", expiredOf(signals, claimed));
    metrics.deadLettersMade("filterBudget", unanswered.length);
    const throughSequence = leastOf(place.positions);
    for (const { consumer } of ready) {
      const given = claimed.filter((signal) => signal.consumer === consumer.id);
      if (given.length > 0) this.#give(consumer, { signals: given, throughSequence, liveSinceMs });
    }
  }

  #give(consumer: Consumer, grant: Grant): void {
    const { environment } = this.#options;
    const { signals } = grant;
    if (this.#consumers.delete(consumer)) {
      // Behind those that had nothing.
      this.#consumers.add(consumer);
      consumer.give(grant);
      environment.metrics.deliveriesMade(signals.length, signals.filter(({ attempt }) => attempt > 1).length);
    } else {
      // It left while they were claimed for it.
      this.takeBack(consumer).catch(environment.onBackgroundError);
    }
  }

  async #buryExhausted(): Promise<void> {
    const { metrics } = this.#options.environment;
    const { released, buried } = await this.#release(
      (record) => isOver(record, this.#standingOptions()) && isSpent(this.subscription, record),
    );
    metrics.deliveriesEnded("expired", released + buried);
  }

  async #release(isGone: (record: DeliveryRecord) => boolean) {
    const { environment, session } = this.#options;
    const { name } = this.subscription;
    const result = await executeWithSignals(environment, session, (draft, copies) => {
      const isThis = draft.subscriptions.get(name)?.secret === this.subscription.secret;
      const nowMs = environment.clock.nowMs();
      return release(draft, (record) => isThis && isGone(record), { name, copies, nowMs });
    });
    environment.metrics.deadLettersMade("maxAttempts", result.buried);
    return result;
  }

  #isClaimable(record: DeliveryRecord): boolean {
    return isOver(record, this.#standingOptions()) && !isSpent(this.subscription, record);
  }

  #standingOptions() {
    const { environment } = this.#options;
    return {
      nowMs: environment.clock.nowMs(),
      isOfEndedProcess: (lease: { readonly owner: string; readonly consumer: string }) =>
        isOfEndedProcess(environment, lease),
    };
  }

  /** How the deliveries stand; undefined where the subscription is gone. */
  #standing(): Standing | undefined {
    const { session } = this.#options;
    const { name, secret } = this.subscription;
    if (session.named.definitions.get(name)?.secret !== secret) return undefined;
    return standingOf(this.subscription, session.named.deliveriesOf(name).values(), this.#standingOptions());
  }

  #place(): ScanPlace {
    const { session } = this.#options;
    const stored = session.named.scans.get(this.subscription.name);
    if (stored === undefined) return placeAt(this.subscription, 0n);
    const scanned = this.#scanned;
    if (scanned?.from !== stored || scanned.generation !== session.header?.generation) return placeOfScan(stored);
    return scanned.place;
  }

  /** Notes what was scanned and did not match. Returns whether there is more. */
  #moveTo(place: ScanPlace, { generation }: CoordinationHeader): boolean {
    const { session } = this.#options;
    if (session.header?.generation !== generation) return true;
    const from = session.named.scans.get(this.subscription.name);
    const before = this.#place().positions;
    const hasMoved = place.positions.some((position, index) => position > (before[index] ?? 0n));
    if (hasMoved && from !== undefined) this.#scanned = { from, generation, place };
    return hasMoved && leastOf(place.positions) < session.header.headSequence;
  }

  /** Wakes every consumer when something has changed that all of them have to see. */
  #tellConsumers(): void {
    const { session, environment } = this.#options;
    const { header } = session;
    const { name, secret } = this.subscription;
    const isThere = session.named.definitions.get(name)?.secret === secret;
    const isCaughtUp = this.position >= (header?.headSequence ?? 0n);
    const state = [
      header?.epoch,
      header?.generation,
      header?.closeTimeMs,
      isThere,
      isCaughtUp,
      this.isDone,
      environment.isDraining(),
    ].join();
    if (state === this.#lastState) return;
    this.#lastState = state;
    for (const consumer of this.#consumers) consumer.latch.set();
  }

  async #sleep(standing: Standing | undefined): Promise<void> {
    const dueInMs = (standing?.nextDueMs ?? Number.POSITIVE_INFINITY) - this.#options.environment.clock.nowMs();
    await this.#latch.nextWithin(Math.max(dueInMs, 1));
  }

  /** What is tried again is not the consumers' end; everything else is. */
  async #recover(error: unknown): Promise<void> {
    if (error instanceof CoordinationError && error.reason === "CURSOR_EXPIRED") {
      this.#hasMetTrimmed = true;
      return;
    }
    const isPassing = error instanceof CoordinationError && error.retryDelayMs !== undefined;
    if (!isPassing) for (const consumer of this.#consumers) consumer.fail(error);
    if (!isPassing) this.#consumers.clear();
    if (isPassing) await this.#latch.nextWithin(retryMs);
  }
}

/** How many of the signals had a lease that was over when they were claimed. */
function expiredOf(signals: readonly PendingSignal[], claimed: readonly ClaimedSignal[]): number {
  const sequences = new Set(claimed.map(({ entry }) => entry.sequence));
  return signals.filter(
    (signal) => signal.is === "due" && signal.record.lease !== undefined && sequences.has(signal.entry.sequence),
  ).length;
}
