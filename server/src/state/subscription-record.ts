/** How deliveries of a named subscription are acknowledged and repeated. */
export interface SubscriptionPolicy {
  /** How long a consumer has a delivery to itself. */
  readonly ackDeadlineMs: number;
  readonly maxDeliveryAttempts: number;
  /** How long a refused delivery rests: doubles with every attempt, from here to there. */
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  /** Signals that may be delivered and not settled. */
  readonly maxOutstanding: number;
}

/** Where a named subscription started. Sequences in decimal. */
export type SubscriptionStartRecord =
  | { readonly at: "latest" }
  | { readonly at: "earliest" }
  | { readonly at: "sequence"; readonly afterSequence: string }
  | { readonly at: "time"; readonly timeMs: number };

/** What whoever made a named subscription has fixed. */
export interface SubscriptionDefinition {
  /** Empty for an observer. */
  readonly agentId: string;
  /** The contract's SignalFilter, encoded, in base64; empty matches all. */
  readonly filter: string;
  readonly start: SubscriptionStartRecord;
  /** Undefined is the order of the log. */
  readonly order?: "priority" | undefined;
  readonly includeOwn: boolean;
  readonly policy: SubscriptionPolicy;
}

/** A named subscription. */
export interface SubscriptionRecord extends SubscriptionDefinition {
  readonly name: string;
  readonly createTimeMs: number;
  /** Tells the ids of its deliveries from invented ones, and from those of another subscription that had its name. */
  readonly secret: string;
  /** It gets what comes after this sequence, in decimal; undefined in records of before this was kept. */
  readonly startSequence?: string | undefined;
}

/** A signal that agents have to acknowledge, because its sender said so. */
export interface RequiredAcksRecord {
  /** In decimal. */
  readonly sequence: string;
  readonly agentIds: readonly string[];
  /** Those of them that have, when, and when they had been handed it first; wall clock. */
  readonly acknowledged: readonly (readonly [agentId: string, acknowledgedMs: number, deliveredMs: number])[];
}

/**
 * How far a named subscription has got: what was scanned and has no delivery is settled or did not match. Apart from its
 * definition, because it changes with every claim.
 */
export interface ScanRecord {
  /** In decimal; in order of priority, the least of the levels. */
  readonly throughSequence: string;
  /** In order of priority: how far each level was scanned, the most urgent first. In decimal. */
  readonly levels?: readonly string[] | undefined;
  /** In order of priority: what the levels below the most urgent are owed. */
  readonly turns?: readonly number[] | undefined;
  /** Claims ever made: each has its number. */
  readonly claims: number;
}

/** A signal that was delivered, or is to be again, and is not settled. */
export interface DeliveryRecord {
  /** In decimal. */
  readonly sequence: string;
  /** Attempts made since it was claimed first, or redriven. */
  readonly attempt: number;
  /** The number of its last claim; 0 for none. */
  readonly claim: number;
  /** While it is leased, until when; else from when it can be claimed. Wall clock. */
  readonly dueMs: number;
  /** Who has it; undefined while it waits. */
  readonly lease?: LeaseRecord | undefined;
  /** In order of priority: the level of its signal, 0 for the most urgent. */
  readonly level?: number | undefined;
  /** Its signal is kept beside the log. */
  readonly isHeld?: true | undefined;
  readonly firstTimeMs?: number | undefined;
  readonly lastTimeMs?: number | undefined;
  /** What the consumer said who refused it last. */
  readonly detail?: string | undefined;
}

/** Who has a delivery. */
export interface LeaseRecord {
  /** The server whose stream the consumer is. */
  readonly owner: string;
  readonly consumer: string;
}

/** Why a signal became a dead letter. */
export type DeadLetterCause = "maxAttempts" | "rejected" | "retention" | "filterBudget";

/** A signal that a subscription gave up delivering. The signal itself is kept beside it. */
export interface DeadLetterRecord {
  readonly subscription: string;
  /** In decimal. */
  readonly sequence: string;
  /** Counts the coordination's dead letters: tells which came later. */
  readonly number: number;
  readonly cause: DeadLetterCause;
  readonly detail: string;
  /** In order of priority: the level of its signal. */
  readonly level?: number | undefined;
  readonly attempts: number;
  readonly firstTimeMs?: number | undefined;
  readonly lastTimeMs?: number | undefined;
  readonly createTimeMs: number;
}

/** What a coordination has counted of its dead letters. */
export interface DeadLetterTotals {
  readonly made: number;
  /** Those that went because newer ones needed their place. */
  readonly dropped: number;
}

/** The decimal digits of the largest sequence: keys sort as their sequences. */
const sequenceDigits = 20;

/** A sequence as the key of a delivery. */
export function sequenceKey(sequence: bigint | string): string {
  return String(sequence).padStart(sequenceDigits, "0");
}

/** The key of one signal of one subscription, in the journal and among dead letters; names have no spaces. */
export function signalKey(subscription: string, sequence: string): string {
  return `${subscription} ${sequence.padStart(sequenceDigits, "0")}`;
}

/** What a key of `signalKey` names. */
export function parseSignalKey(key: string): { readonly subscription: string; readonly sequenceKey: string } {
  const at = key.lastIndexOf(" ");
  return { subscription: key.slice(0, at), sequenceKey: key.slice(at + 1) };
}

/*
 * Records of the journal's kind "subscription" are of five sorts.
 */
const definitionPrefix = "definition/";
const scanPrefix = "scan/";
const acknowledgedPrefix = "acknowledged/";
const requiredPrefix = "required/";
/** The journal key of what is counted of dead letters. */
export const totalsKey = "dead-letters";

export function definitionKey(name: string): string {
  return `${definitionPrefix}${name}`;
}

export function scanKey(name: string): string {
  return `${scanPrefix}${name}`;
}

/** The journal key of a row of acknowledged times, which `acknowledgedRowKey` names. */
export function acknowledgedKey(rowKey: string): string {
  return `${acknowledgedPrefix}${rowKey}`;
}

/** Names one row of a subscription's acknowledged times. */
export function acknowledgedRowKey(name: string, slot: number): string {
  return `${name}/${slot}`;
}

/** The journal key of a signal that agents have to acknowledge, by the sequence's key. */
export function requiredKey(sequenceKey: string): string {
  return `${requiredPrefix}${sequenceKey}`;
}

/** What a journal key of the kind "subscription" names; `name` is what its prefix stands before. */
export function parseSubscriptionKey(key: string): {
  readonly of: "definition" | "scan" | "acknowledged" | "required" | "totals";
  readonly name: string;
} {
  if (key.startsWith(definitionPrefix)) return { of: "definition", name: key.slice(definitionPrefix.length) };
  if (key.startsWith(scanPrefix)) return { of: "scan", name: key.slice(scanPrefix.length) };
  if (key.startsWith(acknowledgedPrefix)) return { of: "acknowledged", name: key.slice(acknowledgedPrefix.length) };
  if (key.startsWith(requiredPrefix)) return { of: "required", name: key.slice(requiredPrefix.length) };
  return { of: "totals", name: "" };
}
