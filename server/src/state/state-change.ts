import type { CoordinationChange } from "../store/signal-store.js";

/** What a change did to a coordination's state. */
export type StateChangeKind =
  | "signalsAppended"
  | "agentRegistered"
  | "agentHeartbeat"
  | "agentDeregistered"
  | "historyTrimmed"
  | "snapshotCreated"
  | "rolledBack"
  | "closed"
  | "subscriptionCreated"
  | "subscriptionDeleted"
  | "signalsAcknowledged"
  | "signalsDeadLettered"
  | "deadLettersRedriven";

/** One line of the audit trail: what happened, by whom, and the versions around it. */
export interface StateChange {
  readonly kind: StateChangeKind;
  readonly timeMs: number;
  /** The agents or people behind it, at most 16; empty where nobody said. */
  readonly actors: readonly string[];
  readonly revisionBefore: bigint;
  readonly revisionAfter: bigint;
  /** The signals it concerns: appended, trimmed or rolled back; undefined where it concerns none. */
  readonly sequences: { readonly from: bigint; readonly through: bigint } | undefined;
  /** What people should know of it, for example a rollback's reason. */
  readonly detail: string;
}

/** What a change says of itself; time and revisions are added where it is made. */
export type StateChangeFields = Pick<StateChange, "kind" | "actors"> &
  Partial<Pick<StateChange, "sequences" | "detail">>;

/** Those whom one line names. */
export const maxActors = 16;

/**
 * Joins neighbouring appends into one line, and acknowledgements of one subscription: who sent which signal is in the log itself,
 * and a line for every signal would double what a signal costs.
 */
export function mergedChanges(changes: readonly StateChange[]): readonly StateChange[] {
  const merged: StateChange[] = [];
  for (const change of changes) {
    const last = merged.at(-1);
    const both = last === undefined ? undefined : joined(last, change);
    if (both === undefined) merged.push(change);
    else merged[merged.length - 1] = both;
  }
  return merged;
}

/** The journal key of what a commit changed: its last revision, so that keys sort as the changes happened. */
export function auditKey(revision: bigint): string {
  return revision.toString(16).padStart(16, "0");
}

// Changes that the audit keeps, and how often its old end is trimmed.
const auditRevisions = 20_000n;
const auditTrimStep = 1_024n;

/** What a commit that takes the revision from one to another trims: now and then, the audit's old end goes. */
export function auditTrim(before: bigint, after: bigint): Pick<CoordinationChange, "trimRecords"> {
  const isDue = after / auditTrimStep > before / auditTrimStep;
  if (!isDue || after <= auditRevisions) return {};
  return { trimRecords: { kind: "audit", beforeKey: auditKey(after - auditRevisions) } };
}

export function encodeStateChanges(changes: readonly StateChange[]): Uint8Array {
  return Buffer.from(JSON.stringify(changes.map(stateChangeJson)));
}

export function decodeStateChanges(bytes: Uint8Array): readonly StateChange[] {
  const parsed: readonly StateChangeJson[] = JSON.parse(Buffer.from(bytes).toString());
  return parsed.map((change) => ({
    ...change,
    revisionBefore: BigInt(change.revisionBefore),
    revisionAfter: BigInt(change.revisionAfter),
    sequences: change.sequences && {
      from: BigInt(change.sequences.from),
      through: BigInt(change.sequences.through),
    },
  }));
}

/** In JSON there are no bigints; a function that replaces them one by one costs more than all the rest of a small commit. */
function stateChangeJson(change: StateChange): StateChangeJson {
  const { revisionBefore, revisionAfter, sequences } = change;
  return {
    ...change,
    revisionBefore: String(revisionBefore),
    revisionAfter: String(revisionAfter),
    sequences: sequences && { from: String(sequences.from), through: String(sequences.through) },
  };
}

type StateChangeJson = Omit<StateChange, "revisionBefore" | "revisionAfter" | "sequences"> & {
  readonly revisionBefore: string;
  readonly revisionAfter: string;
  readonly sequences?: { readonly from: string; readonly through: string } | undefined;
};

function joined(last: StateChange, next: StateChange): StateChange | undefined {
  if (last.kind !== next.kind || (last.kind !== "signalsAppended" && last.kind !== "signalsAcknowledged"))
    return undefined;
  if (last.sequences === undefined || next.sequences === undefined || last.detail !== next.detail) return undefined;
  const isNews = next.actors.some((actor) => !last.actors.includes(actor));
  return {
    ...last,
    actors: isNews ? [...new Set([...last.actors, ...next.actors])].slice(0, maxActors) : last.actors,
    revisionAfter: next.revisionAfter,
    sequences: {
      from: least(last.sequences.from, next.sequences.from),
      through: greatest(last.sequences.through, next.sequences.through),
    },
  };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
