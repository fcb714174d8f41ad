import type { CoordinationError } from "../../model/coordination-error.js";
import type { Departure } from "../../model/departure.js";
import type { LogEntry } from "../../model/log-entry.js";
import { controlLevel, levelOf } from "../../model/priority-level.js";
import type { ScanPlace } from "../../state/scan-place.js";
import type { SessionState } from "../../state/session-state.js";
import type { DeliveryRecord, SubscriptionRecord } from "../../state/subscription-record.js";
import type { AcknowledgementEnvironment } from "./acknowledgement-environment.js";
import type { SubscriptionMatcher } from "./subscription-matcher.js";

/** A signal that can be handed out. */
export type PendingSignal =
  | { readonly is: "due"; readonly record: DeliveryRecord; readonly entry: LogEntry }
  | { readonly is: "new"; readonly entry: LogEntry };

/** A signal of which the filter cannot say whether it matches. */
export interface UnansweredSignal {
  readonly entry: LogEntry;
  readonly error: CoordinationError;
}

/** How many more signals may be outstanding. */
export interface Room {
  readonly ordinary: number;
  /** In order of priority, beside the ordinary ones. */
  readonly control: number;
}

/** What there is to pick from beside the log, and how much. */
export interface PickRequest {
  /** Deliveries that can be leased again, in the order in which they are handed out. They count as outstanding already. */
  readonly due: readonly DeliveryRecord[];
  readonly room: Room;
  /** How many ordinary ones the consumers take. */
  readonly capacity: number;
}

/** What is handed out next, and how far the log is scanned with it. */
export interface Picked {
  readonly signals: readonly PendingSignal[];
  /** One at the most: it is the last that was looked at. */
  readonly unanswered: readonly UnansweredSignal[];
  readonly place: ScanPlace;
  /** Whether something waits for which there is no room. */
  readonly isHeldUp: boolean;
}

/** Finds what a subscription hands out next. What it answers counts only if the subscription still stands where it did. */
export interface SignalPicker {
  pick(from: ScanPlace, request: PickRequest): Promise<Picked>;
}

/** What signals are picked from, and for whom. */
export interface PickSource {
  readonly environment: AcknowledgementEnvironment;
  readonly session: SessionState;
  readonly subscription: SubscriptionRecord;
  readonly matcher: SubscriptionMatcher;
  /** Tells when nothing more need be picked. */
  readonly departure: Departure;
}

/** The level that a signal's delivery has; undefined in the order of the log, which knows none. */
export function levelIn({ order }: SubscriptionRecord, { priority }: LogEntry): number | undefined {
  return order === "priority" ? levelOf(priority) : undefined;
}

/** Whether a signal is exempt from `max_outstanding`: it is CONTROL, and the most urgent come first. */
export function isExempt(subscription: SubscriptionRecord, entry: LogEntry): boolean {
  return levelIn(subscription, entry) === controlLevel;
}
