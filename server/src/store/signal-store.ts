import type { LogEntry } from "../model/log-entry.js";

/*
 * What every store promises.
 *
 * A store holds coordinations. Each is a header, a log of entries in sequence order, and a journal: the last value of every
 * record (kind, key). One commit changes several coordinations at once and is, on durable stores, on disk before its promise
 * resolves; nothing of it can be read before. A coordination's part of it is there whole or not at all, and reads see whole
 * parts only.
 *
 * Sequences, epochs and revisions are decided by the caller. A part says on which version it builds; where several servers
 * share a store and another one was faster, the part is not written and its outcome is "conflict".
 *
 * The log holds entries after `header.trimmedThroughSequence`. Those before `header.oldestSequence` are no longer history,
 * only waiting to be removed; readers never ask for them.
 *
 * A rejected commit leaves the store as it was, or its outcome is unknown; where `failureIsFatal` is set the process must
 * stop, because what the store would answer afterwards could not be trusted.
 */

/** A stretch of the log that a rollback took out: sequences after `afterSequence` through `throughSequence`. */
export interface RemovedRange {
  readonly afterSequence: bigint;
  readonly throughSequence: bigint;
  /** The generation that the rollback began. */
  readonly generation: number;
}

/** What is known of a coordination as a whole. */
export interface CoordinationHeader {
  readonly coordinationId: string;
  /** UUID of this incarnation of the log. */
  readonly epoch: string;
  /** Counts every change of the coordination's state. */
  readonly revision: bigint;
  /**
   * Counts every commit of the coordination, those of counters and renewed leases too, which change no state. What tells one
   * version in the store from another.
   */
  readonly commits: bigint;
  /** Counts rollbacks. */
  readonly generation: number;
  /** The highest sequence ever assigned; 0 before the first signal. */
  readonly headSequence: bigint;
  /** The oldest sequence in history; `headSequence + 1` when there is none. */
  readonly oldestSequence: bigint;
  /** Entries through this sequence have been removed from the store. */
  readonly trimmedThroughSequence: bigint;
  /** Disjoint and ascending; those behind the history are dropped. */
  readonly removedRanges: readonly RemovedRange[];
  readonly createTimeMs: number;
  /** Wall clock of the last signal; 0 before the first. Never goes back. */
  readonly lastSignalTimeMs: number;
  /** Undefined while open. */
  readonly closeTimeMs: number | undefined;
  readonly closeReason: string;
  /** Signals ever accepted, indexed by SignalType. */
  readonly sentByType: readonly number[];
  /** Waits that have ended, ever, and were written. */
  readonly endedWaits: number;
}

/**
 * What a journal record is about: an agent, a resolved dependency, counters of one server, an open wait (only where several
 * servers share the store), a named subscription, one of its unsettled deliveries, one of its dead letters, the signal of such
 * a one, what was known of an agent or a dependency where the history begins, a snapshot, a change of the state, a wait that has
 * ended.
 */
export type JournalKind =
  | ResidentKind
  | "heldSignal"
  | "baseAgent"
  | "baseDependency"
  | "snapshot"
  | "audit"
  | "endedWait";

/** The kinds that are in memory while a coordination is in use. */
export const residentKinds = [
  "agent",
  "dependency",
  "metrics",
  "wait",
  "subscription",
  "delivery",
  "deadLetter",
] as const;
export type ResidentKind = (typeof residentKinds)[number];

/** The last value of one journal record. */
export interface JournalRecord {
  readonly kind: JournalKind;
  /** Unique within the kind; at most 1,100 bytes of UTF-8. */
  readonly key: string;
  readonly value: Uint8Array;
}

/** A journal record that is set, or removed where it has no value. */
export interface JournalChange {
  readonly kind: JournalKind;
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/** A version of a coordination, such as the one that a change builds on. */
export type CoordinationVersion = Pick<CoordinationHeader, "epoch" | "commits">;

/**
 * Changes one coordination: its new header, entries that follow its log, and journal records. Entries through
 * `header.trimmedThroughSequence` are removed with their requests.
 */
export interface CoordinationChange {
  readonly action: "write";
  /** Undefined when the coordination must not exist yet. */
  readonly expected: CoordinationVersion | undefined;
  readonly header: CoordinationHeader;
  readonly entries: readonly LogEntry[];
  readonly records: readonly JournalChange[];
  /**
   * The requests of the entries were not looked up: the part is not written, and its outcome is "repeated", where one of them
   * is in the log. Only shared stores are asked to look themselves.
   */
  readonly assumesNewRequests?: boolean;
  /** Removes the entries after this sequence, and their requests, before the new ones are added. */
  readonly removeAfterSequence?: bigint;
  /** Removes records of a kind whose keys sort before this one, a bounded number of them. */
  readonly trimRecords?: { readonly kind: JournalKind; readonly beforeKey: string };
}

/** Removes one coordination and all that belongs to it. */
export interface CoordinationRemoval {
  readonly action: "remove";
  readonly coordinationId: string;
  readonly expected: CoordinationVersion;
}

/** What became of one coordination's part of a commit. */
export type CommitOutcome = "committed" | "conflict" | "repeated";

/** One coordination's part of a commit. */
export type CommitPart = CoordinationChange | CoordinationRemoval;

/** A coordination as it is loaded when it comes into use. */
export interface StoredCoordination {
  readonly header: CoordinationHeader;
  readonly records: readonly JournalRecord[];
}

/** Records of one kind to read, by key. */
export interface JournalRange {
  readonly coordinationId: string;
  /** The incarnation; another one reads as empty. */
  readonly epoch: string;
  readonly kind: JournalKind;
  /** Exclusive end to start from; undefined starts at the first, or the last when newest first. */
  readonly fromKey?: string | undefined;
  /** From the greatest key to the least. */
  readonly descending?: boolean;
  /** At least 1. */
  readonly limit: number;
}

/** A range of a log to read. */
export interface LogRange {
  readonly coordinationId: string;
  /** The incarnation; another one reads as empty. */
  readonly epoch: string;
  /** Exclusive end to start from: entries after it (forward) or before it (backward). */
  readonly fromSequence: bigint;
  /** At least 1. */
  readonly maxEntries: number;
  /** Entries are read until they reach this many bytes; the first one is always read. */
  readonly maxBytes: number;
}

/** Durable memory of coordinations. */
export interface SignalStore {
  /** The form of its URL, for people: `memory:`, `lmdb:DIR`, `postgres://USER@HOST/DATABASE`; never with a password. */
  readonly url: string;
  /** Whether what is committed survives the process and the machine. */
  readonly isDurable: boolean;
  /** Whether a rejected commit means that the process must stop. */
  readonly failureIsFatal: boolean;
  /** What only a store has that several servers share. */
  readonly shared: SharedStore | undefined;
  /** Writes the parts; each coordination appears at most once. Answers in the order of the parts. */
  commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]>;
  /** Reads a coordination's header and the resident part of its journal; undefined when there is no such coordination. */
  load(coordinationId: string): Promise<StoredCoordination | undefined>;
  /** Reads journal records of one kind in the order of their keys. */
  readJournal(range: JournalRange): Promise<readonly JournalRecord[]>;
  /** Reads entries after `fromSequence`, oldest first. */
  readForward(range: LogRange): Promise<readonly LogEntry[]>;
  /** Reads entries before `fromSequence`, newest first. */
  readBackward(range: LogRange): Promise<readonly LogEntry[]>;
  /** Finds, for each request key, the entry it made; in the order of the keys. May find entries older than the header's oldest. */
  findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]>;
  /** Lists headers by coordination id, those after `afterId`. */
  list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]>;
  /** How many coordinations there are; on a shared store as of a moment ago. */
  count(): number;
  /** Waits for the commit on its way and releases everything. */
  close(): Promise<void>;
}

/** What another server has changed since a version. */
export interface ForeignChanges {
  /** Undefined when the coordination does not exist any more. */
  readonly header: CoordinationHeader | undefined;
  /** The entries after the head of that version; undefined when they are too many to be worth keeping in memory. */
  readonly entries: readonly LogEntry[] | undefined;
  /** Resident records that were set or removed since. */
  readonly records: readonly JournalChange[];
  /** Whether the records are all there are: what is not among them is gone. */
  readonly recordsAreAll: boolean;
}

/** A coordination as one server knows it. */
export interface KnownCoordination {
  readonly coordinationId: string;
  /** Undefined when it is not known to exist. */
  readonly version: CoordinationVersion | undefined;
  readonly headSequence: bigint;
}

/** Says which of these are another version in the store now. */
export type FindChanged = (known: readonly KnownCoordination[]) => Promise<readonly string[]>;

/** What a store can do that several servers share. */
export interface SharedStore {
  /**
   * Distinguishes this server's counters from the others'; small, and used again after a server has gone. Another one after
   * the store was out of reach and somebody else took it.
   */
  readonly serverSlot: number;
  readonly findChanged: FindChanged;
  /** Reads what has changed since a version; undefined when nothing has. */
  changesSince(known: KnownCoordination): Promise<ForeignChanges | undefined>;
  /**
   * Commits where commits kept failing by conflict: takes the coordinations from all other servers, hands `build` what has
   * changed, and writes the parts it returns.
   */
  commitLocked(
    known: readonly KnownCoordination[],
    build: (changes: ReadonlyMap<string, ForeignChanges>) => Promise<readonly CommitPart[]>,
  ): Promise<readonly CommitOutcome[]>;
  /**
   * From now on tells the listener of coordinations that another server may have changed; of those that `residents` names by a
   * hint at once, else within the polling interval.
   */
  watch(residents: () => Iterable<KnownCoordination>, listener: (coordinationIds: readonly string[]) => void): void;
  /** From now on tells the listener whether the store answers; at once when it does not. */
  watchAvailability(listener: (isAvailable: boolean) => void): void;
}
