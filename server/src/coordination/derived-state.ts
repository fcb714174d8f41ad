import type { LogEntry } from "../model/log-entry.js";
import type { AgentProgress, CompletionRecord } from "../state/agent-record.js";
import { type DependencyRecord, dependencyKey } from "../state/dependency-record.js";
import type { JournalChange, JournalRecord } from "../store/signal-store.js";

/** An agent whose signals have said nothing of it. */
export const noProgress: AgentProgress = {
  milestone: "none",
  initializedSequence: undefined,
  completion: undefined,
};

const maxErrorLength = 1_024;

/**
 * What signals alone decide: each agent's milestones and each dependency's last resolution. A fold over entries in order;
 * started from what was known where the history begins, it gives the state at any sequence in it.
 */
export class DerivedState {
  readonly progress = new Map<string, AgentProgress>();
  readonly dependencies = new Map<string, DependencyRecord>();

  /** Starts from the records that `toBaseRecords` made. */
  static fromBase(records: readonly JournalRecord[]): DerivedState {
    const state = new DerivedState();
    for (const { kind, key, value } of records) {
      const json = JSON.parse(Buffer.from(value).toString());
      // Before waits there was only a word.
      if (kind === "baseAgent") state.progress.set(key, typeof json === "string" ? { milestone: json } : json);
      if (kind === "baseDependency") state.dependencies.set(key, json);
    }
    return state;
  }

  add(entry: LogEntry): void {
    const { event, senderAgentId } = entry.signal;
    const progress = progressAfter(this.progress.get(senderAgentId) ?? noProgress, entry);
    if (progress !== undefined) this.progress.set(senderAgentId, progress);
    if (event.case !== "dependencyResolved") return;
    const record = dependencyRecord(entry);
    if (record === undefined) return;
    const key = dependencyKey(record.dependencyType, record.dependencyId);
    // Set anew, so that the map's order is the order of resolution.
    this.dependencies.delete(key);
    this.dependencies.set(key, record);
  }

  /**
   * Journal records from which `fromBase` starts. Of an agent that completed here, and was initialised before, this state does
   * not know when: then `initializedSequenceOf` does.
   */
  toBaseRecords(initializedSequenceOf: (agentId: string) => string | undefined): JournalChange[] {
    const records: JournalChange[] = [];
    for (const [key, progress] of this.progress) {
      const initializedSequence = progress.initializedSequence ?? initializedSequenceOf(key);
      records.push({ kind: "baseAgent", key, value: encode({ ...progress, initializedSequence }) });
    }
    for (const [key, value] of this.dependencies) records.push({ kind: "baseDependency", key, value: encode(value) });
    return records;
  }
}

/** What is known of a signal's sender after it; undefined when the signal says nothing of it. */
export function progressAfter(
  before: AgentProgress,
  { signal: { event }, sequence }: LogEntry,
): AgentProgress | undefined {
  switch (event.case) {
    case "agentInitialized": {
      const milestone = event.value.ready ? "initialized" : "starting";
      return { milestone, initializedSequence: String(sequence), completion: undefined };
    }
    case "agentCompleted": {
      const { error, qualityScore } = event.value;
      const completion: CompletionRecord = {
        sequence: String(sequence),
        qualityScore,
        error: error?.slice(0, maxErrorLength),
      };
      const milestone = error === undefined ? "completed" : "failed";
      return { milestone, initializedSequence: before.initializedSequence, completion };
    }
    case "dependencyResolved":
    case "interAgentMessage":
    case undefined:
      return undefined;
  }
}

/** The resolution that a signal tells of; undefined when it tells of none. */
export function dependencyRecord({ signal, sequence }: LogEntry): DependencyRecord | undefined {
  if (signal.event.case !== "dependencyResolved") return undefined;
  const { dependencyType, dependencyId, resolvedBy } = signal.event.value;
  const { seconds, nanos } = signal.timestamp ?? { seconds: 0n, nanos: 0 };
  const resolveTimeMs = Number(seconds) * 1000 + nanos / 1_000_000;
  return { dependencyType, dependencyId, resolvedBy, sequence: String(sequence), resolveTimeMs };
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
