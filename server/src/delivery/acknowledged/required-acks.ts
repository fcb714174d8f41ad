import type { StoredSignal } from "../../coordination/stored-signal.js";
import { maxAskedFilters, maxRequiredAckSignals, maxRequiredAcks } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { Draft } from "../../state/draft.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import { noAcknowledgers } from "./acknowledgement-errors.js";
import { startSequenceOf } from "./signal-standing.js";
import type { SubscriptionMatchers } from "./subscription-matcher.js";

/** Who has to acknowledge a signal, and for how long its sender waits for that. */
export interface RequiredAcks {
  /** At least one, each once. */
  readonly agentIds: readonly string[];
  readonly timeoutMs: number;
}

/**
 * Notes in the commit that stores a signal who has to acknowledge it. Throws NO_RESPONDERS, which takes the signal back, where an
 * agent has no named subscription that could get it. Of a signal that was stored before this is not asked: it has begun its way.
 */
export function requireAcks(
  draft: Draft,
  { entry, isDeduplicated }: StoredSignal,
  { agentIds, matchers }: { readonly agentIds: readonly string[]; readonly matchers: SubscriptionMatchers },
): void {
  if (!isDeduplicated) matchers.onOneBudget(() => checkAcknowledgers(draft, entry, { agentIds, matchers }));
  const limits = { maxSignals: maxRequiredAckSignals, maxAgents: maxRequiredAcks };
  draft.subscriptions.requireAcks(entry.sequence, agentIds, limits);
}

/** Whether a signal is a subscription's. A filter that is too dear to say so says nothing against it. */
export function couldGet(subscription: SubscriptionRecord, entry: LogEntry, matchers: SubscriptionMatchers): boolean {
  if (entry.sequence <= startSequenceOf(subscription)) return false;
  return matchers.of(subscription).ask(entry) !== false;
}

function checkAcknowledgers(
  draft: Draft,
  entry: LogEntry,
  { agentIds, matchers }: { readonly agentIds: readonly string[]; readonly matchers: SubscriptionMatchers },
): void {
  const missing = new Set(agentIds);
  let asked = 0;
  for (const subscription of draft.subscriptions.all()) {
    if (!missing.has(subscription.agentId)) continue;
    // Everybody waits for the lock meanwhile: past so many filters, or one budget of steps, an agent is taken for able.
    if (!matchers.of(subscription).filter.matchesAll) asked += 1;
    if (asked > maxAskedFilters || couldGet(subscription, entry, matchers)) missing.delete(subscription.agentId);
  }
  if (missing.size > 0) throw noAcknowledgers([...missing]);
}
