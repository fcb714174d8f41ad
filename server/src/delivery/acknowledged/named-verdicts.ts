import type { FilterExpressionCompiler } from "../../model/filter-expression.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { NamedSubscriptions } from "../../state/named-subscriptions.js";
import { concerns } from "../../state/reader-index.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import type { JudgedSignal } from "../delivery-verdict.js";
import { failedFilterPart } from "../filter-part.js";
import { couldGet } from "./required-acks.js";
import {
  computedStanding,
  knownStanding,
  requiredTime,
  type SignalStanding,
  startSequenceOf,
} from "./signal-standing.js";
import type { StandingOptions } from "./standing.js";
import type { SubscriptionMatchers } from "./subscription-matcher.js";

/** What a named subscription made of a signal. */
export interface NamedVerdict {
  readonly subscription: SubscriptionRecord;
  readonly startSequence: bigint;
  /** How far it has looked. */
  readonly scannedSequence: bigint;
  readonly verdict: SignalStanding | NotIts;
}

/** Why a signal is not a subscription's. */
export type NotIts =
  | { readonly is: "beforeStart" | "ownSignal" | "notAddressed" }
  | { readonly is: "filtered"; readonly part: string };

/** A signal to judge. */
export interface SignalToJudge extends StandingOptions {
  readonly sequence: bigint;
  /** Undefined where it has left the history: then only what is kept of it is told. */
  readonly judged: JudgedSignal | undefined;
  readonly expressions: FilterExpressionCompiler;
}

/** What a named subscription made of a signal; undefined where nothing is known of it. Throws FILTER_BUDGET_EXCEEDED. */
export function namedVerdict(
  named: NamedSubscriptions,
  subscription: SubscriptionRecord,
  signal: SignalToJudge,
): NamedVerdict | undefined {
  const { judged, expressions } = signal;
  const known = knownStanding(named, subscription, signal);
  const verdict =
    known ??
    (judged && whyNotIts(subscription, judged, expressions)) ??
    (judged && computedStanding(named, subscription, judged.stored));
  if (verdict === undefined) return undefined;
  const scannedSequence = BigInt(named.scans.get(subscription.name)?.throughSequence ?? 0);
  return { subscription, startSequence: startSequenceOf(subscription), scannedSequence, verdict };
}

function whyNotIts(
  subscription: SubscriptionRecord,
  { stored, handedOut }: JudgedSignal,
  expressions: FilterExpressionCompiler,
): NotIts | undefined {
  const { agentId, includeOwn, start, filter } = subscription;
  if (!concerns({ agentId, includeOwn, typeMask: 0 }, stored)) {
    return { is: stored.facts.senderAgentId === agentId ? "ownSignal" : "notAddressed" };
  }
  const isBeforeTime = start.at === "time" && stored.timestampMs < start.timeMs;
  if (isBeforeTime || stored.sequence <= startSequenceOf(subscription)) return { is: "beforeStart" };
  const part = failedFilterPart(filter, handedOut, expressions);
  return part === undefined ? undefined : { is: "filtered", part };
}

/** What an agent's named subscriptions made of a signal, as far as receipts tell of it. */
export interface NamedReceipt {
  readonly deliveredMs: number | undefined;
  readonly acknowledgedMs: number | undefined;
}

/** The receipts of one signal at named subscriptions, of one agent after another. */
export class NamedReceipts {
  readonly #named: NamedSubscriptions;
  readonly #entry: LogEntry;
  readonly #options: StandingOptions & { readonly matchers: SubscriptionMatchers };
  readonly #byAgent = new Map<string, SubscriptionRecord[]>();

  constructor(
    named: NamedSubscriptions,
    entry: LogEntry,
    options: StandingOptions & { readonly matchers: SubscriptionMatchers },
  ) {
    this.#named = named;
    this.#entry = entry;
    this.#options = options;
    for (const record of named.definitions.values()) {
      const own = this.#byAgent.get(record.agentId) ?? [];
      own.push(record);
      this.#byAgent.set(record.agentId, own);
    }
  }

  async of(agentId: string): Promise<NamedReceipt> {
    const required = requiredTime(this.#named, agentId, this.#entry.sequence);
    const receipts: NamedReceipt[] = required === undefined ? [] : [required];
    for (const subscription of this.#byAgent.get(agentId) ?? []) {
      const turn = this.#options.matchers.of(subscription).turns?.nextIfOver();
      if (turn !== undefined) await turn;
      receipts.push(receiptOf(this.#standingAt(subscription)));
    }
    return {
      deliveredMs: earliest(receipts.map(({ deliveredMs }) => deliveredMs)),
      acknowledgedMs: earliest(receipts.map(({ acknowledgedMs }) => acknowledgedMs)),
    };
  }

  #standingAt(subscription: SubscriptionRecord): SignalStanding | undefined {
    const { sequence } = this.#entry;
    const known = knownStanding(this.#named, subscription, { ...this.#options, sequence });
    if (known !== undefined) return known;
    if (!couldGet(subscription, this.#entry, this.#options.matchers)) return undefined;
    return computedStanding(this.#named, subscription, this.#entry);
  }
}

function receiptOf(standing: SignalStanding | undefined): NamedReceipt {
  switch (standing?.is) {
    case "acknowledged":
      return { deliveredMs: standing.time?.deliveredMs, acknowledgedMs: standing.time?.acknowledgedMs };
    case "outstanding":
    case "waiting":
      return { deliveredMs: standing.delivery.firstTimeMs, acknowledgedMs: undefined };
    case "deadLettered":
      return { deliveredMs: standing.letter.firstTimeMs, acknowledgedMs: undefined };
    case "settled":
    case "notYet":
    case undefined:
      return { deliveredMs: undefined, acknowledgedMs: undefined };
  }
}

/** The earliest of those that are known. */
export function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
