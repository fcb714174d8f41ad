import type { MetricsCollector } from "../../metrics/metrics-collector.js";
import type { FilterExpressionCompiler } from "../../model/filter-expression.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import type { LogReader } from "../../state/log-reader.js";
import type { SessionDirectory } from "../../state/session-directory.js";
import type { LeaseRecord } from "../../state/subscription-record.js";
import type { SignalStore } from "../../store/signal-store.js";
import type { LeaseClock } from "./lease-clock.js";
import type { SubscriptionMatchers } from "./subscription-matcher.js";

/** What acknowledged subscriptions work with. */
export interface AcknowledgementEnvironment {
  readonly directory: SessionDirectory;
  readonly reader: LogReader;
  readonly store: SignalStore;
  readonly metrics: MetricsCollector;
  readonly clock: LeaseClock;
  readonly expressions: FilterExpressionCompiler;
  readonly matchers: SubscriptionMatchers;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
  /** Names this server among those that lease deliveries. */
  readonly owner: string;
  readonly isDraining: () => boolean;
  /** Told when something failed that is tried again by itself. */
  readonly onBackgroundError: (error: unknown) => void;
}

/**
 * Whether a lease is of a process that has ended. Where no other server shares the store, that is every lease of another
 * process: nobody else can hold one. Elsewhere only its deadline tells.
 */
export function isOfEndedProcess({ store, owner }: AcknowledgementEnvironment, lease: LeaseRecord): boolean {
  return store.shared === undefined && lease.owner !== owner;
}
