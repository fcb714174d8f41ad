import { randomBytes } from "node:crypto";
import type { StoredSignal } from "../../coordination/stored-signal.js";
import type { DeliveryOutcome } from "../../metrics/metrics-collector.js";
import type { LogEntry } from "../../model/log-entry.js";
import { coordinationNotFound } from "../../registry/agent-registry.js";
import type { Draft } from "../../state/draft.js";
import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import type { DeadLetterRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import { AckWait } from "./ack-wait.js";
import { type AckItem, type AckOutcome, acknowledge } from "./acknowledge-operation.js";
import { type AcknowledgementEnvironment, isOfEndedProcess } from "./acknowledgement-environment.js";
import { subscriptionNotFound } from "./acknowledgement-errors.js";
import { Consumer } from "./consumer.js";
import { deleteSubscription, type RedriveRequest, redrive } from "./dead-letter-operations.js";
import { Dispatcher } from "./dispatcher.js";
import { joinSubscription, type NamedRequest } from "./join-operation.js";
import { NamedReceipts, type NamedVerdict, namedVerdict, type SignalToJudge } from "./named-verdicts.js";
import { release } from "./release-operation.js";
import { type RequiredAcks, requireAcks } from "./required-acks.js";
import { executeWithSignals, readHeldSignal } from "./signal-copies.js";
import { isOver, isSpent, type StandingOptions } from "./standing.js";
import type { SubscriptionMatcher } from "./subscription-matcher.js";
import { type SubscriptionView, subscriptionViews } from "./subscription-view.js";

/** A dead letter with its signal, as the server hands it out. */
export interface DeadLetterView {
  readonly record: DeadLetterRecord;
  readonly entry: LogEntry;
}

/** Which dead letters to read. */
export interface DeadLetterPage {
  /** Undefined for those of all subscriptions. */
  readonly name: string | undefined;
  /** Those that came before this one; undefined begins with the last. */
  readonly beforeNumber: number | undefined;
  readonly limit: number;
  readonly maxBytes: number;
}

/** A page of dead letters, and how many there are. */
export interface DeadLetters {
  readonly letters: readonly DeadLetterView[];
  /** Where the next page begins; undefined after the last. */
  readonly nextBeforeNumber: number | undefined;
  readonly count: number;
  readonly droppedCount: number;
}

/** A consumer of a named subscription, and who hands it signals. */
export interface JoinedConsumer {
  readonly dispatcher: Dispatcher;
  readonly consumer: Consumer;
  readonly matcher: SubscriptionMatcher;
  /** Leaves: what it has is taken back. */
  readonly leave: () => void;
}

const consumerIdBytes = 9;

/** The named subscriptions of all coordinations, and their consumers on this server. */
export class AcknowledgedSubscriptions {
  readonly #environment: AcknowledgementEnvironment;
  readonly #dispatchers = new Map<string, Dispatcher>();
  readonly #background = new Set<Promise<void>>();

  constructor(environment: AcknowledgementEnvironment) {
    this.#environment = environment;
  }

  /** Makes a subscription unless it is there; see `joinSubscription`. */
  create(coordinationId: string, request: NamedRequest): Promise<SubscriptionView> {
    return this.#environment.directory.withCurrent(coordinationId, async (session) => {
      const record = await joinSubscription(this.#environment, session, request);
      const view = (await this.views(session)).find(({ record: { name } }) => name === record.name);
      if (view === undefined) throw subscriptionNotFound(coordinationId, record.name);
      return view;
    });
  }

  /** Makes or joins a subscription as one more consumer. The session is pinned for as long as it has not left. */
  async join(session: SessionState, request: NamedRequest): Promise<JoinedConsumer> {
    const record = await joinSubscription(this.#environment, session, request);
    const dispatcher = this.#dispatcherOf(session, record);
    const consumer = new Consumer(randomBytes(consumerIdBytes).toString("base64url"));
    dispatcher.join(consumer);
    const leave = (): void => {
      dispatcher.leave(consumer);
      this.#run(dispatcher.takeBack(consumer));
    };
    return { dispatcher, consumer, matcher: this.#environment.matchers.of(record), leave: onceOnly(leave) };
  }

  /** The named subscriptions of a coordination by name. */
  async views(session: SessionState): Promise<readonly SubscriptionView[]> {
    await this.#settleOverdue(session);
    const localOf = (record: SubscriptionRecord) => this.#dispatchers.get(dispatcherKey(session, record));
    return subscriptionViews(session, localOf, this.#standingOptions());
  }

  /** Settles or extends deliveries; see `acknowledge`. Resolves once what was taken is durable. */
  acknowledge(coordinationId: string, name: string, items: readonly AckItem[]): Promise<readonly AckOutcome[]> {
    const { directory, clock, metrics } = this.#environment;
    return directory.with(coordinationId, async (session) => {
      const outcomes = await executeWithSignals(this.#environment, session, (draft, copies) =>
        acknowledge(draft, items, { name, copies, nowMs: clock.nowMs() }),
      );
      for (const outcome of outcomes) {
        if (outcome.is === "buried") metrics.deadLettersMade(outcome.cause, 1);
        const end = endOf(outcome);
        if (end !== undefined) metrics.deliveriesEnded(end, 1);
      }
      return outcomes;
    });
  }

  /** Notes in the commit that stores a signal who has to acknowledge it; see `requireAcks`. */
  requireAcks(draft: Draft, stored: StoredSignal, agentIds: readonly string[]): void {
    requireAcks(draft, stored, { agentIds, matchers: this.#environment.matchers });
  }

  /** Waits until agents have acknowledged a signal; see `AckWait.run`. The session is pinned until then. */
  async whenAcknowledged(
    session: SessionState,
    wait: RequiredAcks & { readonly stored: StoredSignal; readonly abort: AbortSignal },
  ): Promise<void> {
    // Of a signal that is new nobody has used up anything.
    if (wait.stored.isDeduplicated) await this.#settleOverdue(session);
    return new AckWait({ ...wait, environment: this.#environment, session }).run();
  }

  /** What became of a signal at the named subscriptions of agents, for receipts. */
  receipts(session: SessionState, entry: LogEntry): NamedReceipts {
    const { matchers } = this.#environment;
    return new NamedReceipts(session.named, entry, { ...this.#standingOptions(), matchers });
  }

  /** What one named subscription made of a signal. Rejects with SUBSCRIPTION_NOT_FOUND, FILTER_BUDGET_EXCEEDED. */
  async explain(
    session: SessionState,
    name: string,
    signal: Pick<SignalToJudge, "sequence" | "judged">,
  ): Promise<NamedVerdict | undefined> {
    // What has used up its attempts with a consumer that is gone is a dead letter that nobody has made yet.
    await this.#settleOverdue(session);
    const subscription = session.named.definitions.get(name);
    if (subscription === undefined) throw subscriptionNotFound(session.coordinationId, name);
    return this.#verdict(session, subscription, signal);
  }

  /** What the named subscriptions of an agent made of a signal, by name. Rejects with FILTER_BUDGET_EXCEEDED. */
  async explainForAgent(
    session: SessionState,
    agentId: string,
    signal: Pick<SignalToJudge, "sequence" | "judged">,
  ): Promise<readonly NamedVerdict[]> {
    await this.#settleOverdue(session);
    const own = [...session.named.definitions.values()].filter((record) => record.agentId === agentId);
    own.sort((a, b) => (a.name < b.name ? -1 : 1));
    const verdicts: NamedVerdict[] = [];
    for (const subscription of own) {
      const turn = this.#environment.expressions.turns.nextIfOver();
      if (turn !== undefined) await turn;
      const verdict = this.#verdict(session, subscription, signal);
      if (verdict !== undefined) verdicts.push(verdict);
    }
    return verdicts;
  }

  /** Removes a subscription with what it holds. Rejects with COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
  delete(coordinationId: string, name: string): Promise<void> {
    return this.#environment.directory.execute(
      coordinationId,
      plainOperation((draft) => deleteSubscription(draft, name)),
    );
  }

  /** Puts dead letters back; see `redrive`. */
  async redrive(coordinationId: string, request: RedriveRequest): Promise<number> {
    const { directory, clock } = this.#environment;
    return directory.with(coordinationId, async (session) => {
      await this.#settleOverdue(session);
      return directory.execute(
        coordinationId,
        plainOperation((draft) => redrive(draft, request, clock.nowMs())),
      );
    });
  }

  /** Reads dead letters, those that came last first. Rejects with COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND. */
  deadLetters(coordinationId: string, page: DeadLetterPage): Promise<DeadLetters> {
    return this.#environment.directory.withLatest(coordinationId, async (session) => {
      if (session.header === undefined) throw coordinationNotFound(coordinationId);
      const { name, beforeNumber = Number.POSITIVE_INFINITY } = page;
      if (name !== undefined && !session.named.definitions.has(name)) throw subscriptionNotFound(coordinationId, name);
      await this.#settleOverdue(session);
      const all = [...session.named.deadLetters.values()].filter(
        ({ subscription }) => name === undefined || subscription === name,
      );
      const rest = all.filter(({ number }) => number < beforeNumber).reverse();
      return {
        ...(await this.#readLetters(session, rest, page)),
        count: all.length,
        droppedCount: session.named.totals.dropped,
      };
    });
  }

  /** Resolves when nothing is on its way. To be called when every consumer has left. */
  async close(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #readLetters(
    session: SessionState,
    records: readonly DeadLetterRecord[],
    { limit, maxBytes }: DeadLetterPage,
  ): Promise<Pick<DeadLetters, "letters" | "nextBeforeNumber">> {
    const letters: DeadLetterView[] = [];
    let bytes = 0;
    let last: DeadLetterRecord | undefined;
    for (const record of records) {
      if (letters.length === limit) return { letters, nextBeforeNumber: last?.number };
      const stored = await readHeldSignal(this.#environment, session, record.subscription, record.sequence);
      const turn = this.#environment.outgoing?.turns?.nextIfOver();
      if (turn !== undefined) await turn;
      // Redriven or deleted while the page was read.
      const entry = stored && (this.#environment.outgoing?.apply(stored) ?? stored);
      bytes += entry?.bytes.length ?? 0;
      if (bytes > maxBytes && letters.length > 0) return { letters, nextBeforeNumber: last?.number };
      if (entry !== undefined) letters.push({ record, entry });
      last = record;
    }
    return { letters, nextBeforeNumber: undefined };
  }

  /**
   * Makes dead letters of what has used up its attempts with consumers that are gone: where none is left to hand anything to,
   * nobody has done so.
   */
  async #settleOverdue(session: SessionState): Promise<void> {
    const { clock, metrics } = this.#environment;
    for (const record of [...session.named.definitions.values()]) {
      const isOverdue = this.#overdueOf(record);
      if (![...session.named.deliveriesOf(record.name).values()].some(isOverdue)) continue;
      const { released, buried } = await executeWithSignals(this.#environment, session, (draft, copies) =>
        release(draft, isOverdue, { name: record.name, copies, nowMs: clock.nowMs() }),
      );
      metrics.deliveriesEnded("expired", released + buried);
      metrics.deadLettersMade("maxAttempts", buried);
    }
  }

  #verdict(
    session: SessionState,
    subscription: SubscriptionRecord,
    signal: Pick<SignalToJudge, "sequence" | "judged">,
  ): NamedVerdict | undefined {
    const { expressions } = this.#environment;
    return namedVerdict(session.named, subscription, { ...signal, ...this.#standingOptions(), expressions });
  }

  #standingOptions(): StandingOptions {
    return {
      nowMs: this.#environment.clock.nowMs(),
      isOfEndedProcess: (lease) => isOfEndedProcess(this.#environment, lease),
    };
  }

  #overdueOf(subscription: SubscriptionRecord) {
    const options = this.#standingOptions();
    return (record: Parameters<typeof isOver>[0]): boolean => isSpent(subscription, record) && isOver(record, options);
  }

  #dispatcherOf(session: SessionState, subscription: SubscriptionRecord): Dispatcher {
    const key = dispatcherKey(session, subscription);
    const known = this.#dispatchers.get(key);
    if (known !== undefined) return known;
    const dispatcher = new Dispatcher({
      environment: this.#environment,
      session,
      subscription,
      matcher: this.#environment.matchers.of(subscription),
      onEnded: () => {
        if (this.#dispatchers.get(key) === dispatcher) this.#dispatchers.delete(key);
      },
    });
    this.#dispatchers.set(key, dispatcher);
    return dispatcher;
  }

  #run(work: Promise<void>): void {
    const tracked = work.catch(this.#environment.onBackgroundError).finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}

function onceOnly(run: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    run();
  };
}

/** How an attempt ended by an acknowledgement; undefined where it has not. */
function endOf(outcome: AckOutcome): DeliveryOutcome | undefined {
  switch (outcome.is) {
    case "acknowledged":
      return "acknowledged";
    case "resting":
      return "refused";
    case "buried":
      return outcome.cause === "rejected" ? "rejected" : "refused";
    case "refused":
      return "invalid";
    case "extended":
      return undefined;
  }
}

/** Another subscription that has the name later has another secret. */
function dispatcherKey({ coordinationId }: SessionState, { secret }: SubscriptionRecord): string {
  return `${coordinationId} ${secret}`;
}
