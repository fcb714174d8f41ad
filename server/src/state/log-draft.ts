import type { LogEntry } from "../model/log-entry.js";
import { type PreparedSignal, placeSignal } from "../model/prepared-signal.js";
import { nextSignalId } from "../model/signal-ids.js";
import type { CoordinationHeader, JournalChange } from "../store/signal-store.js";
import type { Undo } from "./draft-map.js";
import { newHeader } from "./new-header.js";
import { withRemovedRange } from "./removed-ranges.js";
import {
  auditKey,
  encodeStateChanges,
  maxActors,
  mergedChanges,
  type StateChange,
  type StateChangeFields,
} from "./state-change.js";

/** What a log's next version is made with. */
export interface LogDraftOptions {
  readonly coordinationId: string;
  /** Undefined while the coordination does not exist. */
  readonly header: CoordinationHeader | undefined;
  /** Wall clock at the start of the commit. */
  readonly nowMs: number;
  /** On the monotonic clock. */
  readonly acceptedAtMs: number;
  /** Signals a coordination keeps; older ones leave the history. */
  readonly retentionSignals: number;
  /** Counts one coordination more. Throws when the store holds as many as it may; the function returned takes it back. */
  readonly countBeginning: () => () => void;
  /** Takes a change back when the operation that made it throws. */
  readonly noteUndo: (undo: Undo) => void;
}

/** A state of a log's next version that can be come back to. */
export interface LogMark {
  readonly header: CoordinationHeader | undefined;
  readonly settledEntries: number;
  readonly entryCount: number;
  readonly changeCount: number;
  readonly removedAfterSequence: bigint | undefined;
}

/**
 * The next version of a coordination's log: the part of a draft that is about its header, the signals that are appended, and what the
 * audit says of both.
 */
export class LogDraft {
  readonly #options: LogDraftOptions;
  readonly #entries: LogEntry[] = [];
  readonly #changes: StateChange[] = [];
  #header: CoordinationHeader | undefined;
  /** So many entries the header tells of; those behind them it is told of when somebody asks for it. */
  #settledEntries = 0;
  #removedAfter: bigint | undefined;

  constructor(options: LogDraftOptions) {
    this.#options = options;
    this.#header = options.header;
  }

  /** Undefined while the coordination does not exist. */
  get header(): CoordinationHeader | undefined {
    this.#settleEntries();
    return this.#header;
  }

  /** What signals cannot change of the header, and what costs them less than the header does. */
  get constants(): Pick<CoordinationHeader, "epoch" | "closeTimeMs" | "closeReason" | "endedWaits"> | undefined {
    return this.#header;
  }

  /** The signals that are appended. */
  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  get headSequence(): bigint {
    return (this.#header?.headSequence ?? 0n) + BigInt(this.#entries.length - this.#settledEntries);
  }

  get oldestSequence(): bigint {
    const oldest = this.#header?.oldestSequence ?? 1n;
    const retained = this.headSequence - BigInt(this.#options.retentionSignals) + 1n;
    return retained > oldest ? retained : oldest;
  }

  /** Whether signals were taken out, and after which sequence. */
  get removedAfterSequence(): bigint | undefined {
    return this.#removedAfter;
  }

  /** Where it stands now. */
  mark(): LogMark {
    return {
      header: this.#header,
      settledEntries: this.#settledEntries,
      entryCount: this.#entries.length,
      changeCount: this.#changes.length,
      removedAfterSequence: this.#removedAfter,
    };
  }

  /** Goes back to where it stood. */
  reset({ header, settledEntries, entryCount, changeCount, removedAfterSequence }: LogMark): void {
    this.#header = header;
    this.#settledEntries = settledEntries;
    this.#entries.length = entryCount;
    this.#changes.length = changeCount;
    this.#removedAfter = removedAfterSequence;
  }

  /** Begins the coordination unless it exists. Throws TOO_MANY_COORDINATIONS. */
  begin(): CoordinationHeader {
    return this.header ?? this.#newHeader();
  }

  #newHeader(): CoordinationHeader {
    const { countBeginning, noteUndo, coordinationId, nowMs } = this.#options;
    noteUndo(countBeginning());
    this.#header = newHeader(coordinationId, nowMs);
    return this.#header;
  }

  /** Changes the header, counts the change in its revision and notes it for the audit. */
  changeHeader(changes: Partial<CoordinationHeader>, fields: StateChangeFields): CoordinationHeader {
    const header = this.begin();
    const changed = { ...header, ...changes, revision: header.revision + 1n };
    this.#header = changed;
    this.#changes.push({
      sequences: undefined,
      detail: "",
      ...fields,
      timeMs: this.#options.nowMs,
      revisionBefore: header.revision,
      revisionAfter: changed.revision,
    });
    return changed;
  }

  /** Gives a signal the next sequence. */
  append(prepared: PreparedSignal): LogEntry {
    const header = this.#header ?? this.#newHeader();
    const { nowMs, acceptedAtMs } = this.#options;
    const entry = placeSignal(prepared, {
      signalId: nextSignalId(),
      sequence: this.headSequence + 1n,
      timestampMs: Math.max(nowMs, header.lastSignalTimeMs),
      acceptedAtMs,
    });
    this.#entries.push(entry);
    return entry;
  }

  /** Has the header tell of the entries that were appended since it last did; for each of them alone it would cost too much. */
  #settleEntries(): void {
    const first = this.#entries[this.#settledEntries];
    const last = this.#entries.at(-1);
    const header = this.#header;
    if (first === undefined || last === undefined || header === undefined) return;
    const { headSequence, oldestSequence } = this;
    const sentByType = header.sentByType.slice();
    const actors: string[] = [];
    for (let index = this.#settledEntries; index < this.#entries.length; index++) {
      const { type = 0, senderAgentId = "" } = this.#entries[index]?.facts ?? {};
      sentByType[type] = (sentByType[type] ?? 0) + 1;
      if (actors.length < maxActors && !actors.includes(senderAgentId)) actors.push(senderAgentId);
    }
    const revision = header.revision + BigInt(this.#entries.length - this.#settledEntries);
    this.#settledEntries = this.#entries.length;
    const lastSignalTimeMs = last.timestampMs;
    this.#header = { ...header, headSequence, oldestSequence, lastSignalTimeMs, sentByType, revision };
    this.#changes.push({
      kind: "signalsAppended",
      actors,
      sequences: { from: first.sequence, through: last.sequence },
      detail: "",
      timeMs: this.#options.nowMs,
      revisionBefore: header.revision,
      revisionAfter: revision,
    });
  }

  /** Takes the signals after a sequence out of the log; their numbers are not used again. */
  rollBack(toSequence: bigint, fields: StateChangeFields): void {
    const header = this.begin();
    const generation = header.generation + 1;
    const range = { afterSequence: toSequence, throughSequence: header.headSequence, generation };
    this.#removedAfter = toSequence;
    this.changeHeader({ generation, removedRanges: withRemovedRange(header.removedRanges, range) }, fields);
  }

  /** Counts ended waits that are written: how many there ever were. */
  countEndedWaits(endedWaits: number): void {
    if (this.#header !== undefined) this.#header = { ...this.#header, endedWaits };
  }

  /** Counts the commit that it is written with. To be called once, at the end. */
  countCommit(): CoordinationHeader {
    const header = { ...this.begin(), commits: (this.#options.header?.commits ?? 0n) + 1n };
    this.#header = header;
    return header;
  }

  /** What the audit says of it; undefined where nothing was changed but counts. */
  auditChange(): JournalChange | undefined {
    const { header } = this;
    if (header === undefined || this.#changes.length === 0) return undefined;
    return { kind: "audit", key: auditKey(header.revision), value: encodeStateChanges(mergedChanges(this.#changes)) };
  }
}
