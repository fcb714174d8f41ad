import fc from "fast-check";
import type { LogEntry } from "../../../server/src/model/log-entry.js";
import { withRemovedRange } from "../../../server/src/state/removed-ranges.js";
import type {
  CommitPart,
  CoordinationHeader,
  JournalChange,
  JournalKind,
} from "../../../server/src/store/signal-store.js";
import { entryAt, headerOf } from "../log-entries.js";
import { type ArrayCoordination, compareBytes } from "./array-store.js";

/** What one part of a commit does to a coordination, in numbers that fit whatever is there. */
export interface PartPlan {
  /** Which of the coordinations. */
  readonly name: number;
  readonly removes: boolean;
  readonly append: readonly { readonly request: number | undefined; readonly length: number }[];
  /** How many signals leave the history, and how many of those that had left it leave the store. */
  readonly expire: number;
  readonly trim: number;
  /** How many of the last numbers a rollback takes out; 0 for no rollback. */
  readonly rollBack: number;
  readonly records: readonly { readonly kind: JournalKind; readonly key: string; readonly value: string | undefined }[];
  readonly trimRecordsBefore: string | undefined;
  readonly closes: boolean;
  /** Builds on another version than what is there: it must not be written. Only where several servers share a store. */
  readonly staleness: "none" | "older" | "other epoch" | "other existence";
}

// Names of which some begin like others, or sort differently by letters, by UTF-16 and by bytes.
export const coordinationNames = ["c", "c1", "c:", "C"] as const;
export const journalKinds: readonly JournalKind[] = [
  "agent",
  "dependency",
  "metrics",
  "baseAgent",
  "baseDependency",
  "snapshot",
  "audit",
  "endedWait",
  "subscription",
  "delivery",
  "deadLetter",
  "heldSignal",
];
export const journalKeys = ["a", "ab", "a\nb", "B", "é", "\uffff", "\u{10000}", "k".repeat(1_100)] as const;
export const requestIds = [0, 1, 2, 3] as const;

/** The request of a number, as the entries' identities have it. */
export function requestKey(request: number): string {
  return entryAt(1n, { requestId: `r${request}` }).requestKey ?? "";
}

const sometimes = <T>(arbitrary: fc.Arbitrary<T>, freq: number) => fc.option(arbitrary, { nil: undefined, freq });

/** What may happen to a coordination in one commit. */
export const partPlan: fc.Arbitrary<PartPlan> = fc.record({
  name: fc.nat({ max: coordinationNames.length - 1 }),
  removes: fc.nat({ max: 11 }).map((chance) => chance === 0),
  append: fc.array(
    fc.record({ request: sometimes(fc.constantFrom(...requestIds), 3), length: fc.constantFrom(0, 5, 300) }),
    { maxLength: 8 },
  ),
  expire: fc.nat({ max: 6 }),
  trim: fc.nat({ max: 8 }),
  rollBack: fc.nat({ max: 20 }).map((signals) => (signals > 5 ? 0 : signals)),
  records: fc.array(
    fc.record({
      kind: fc.constantFrom(...journalKinds),
      key: fc.constantFrom(...journalKeys),
      value: sometimes(fc.constantFrom("", "1", "2".repeat(500)), 3),
    }),
    { maxLength: 4 },
  ),
  trimRecordsBefore: fc
    .nat({ max: 3 })
    .chain((chance) => (chance > 0 ? fc.constant(undefined) : fc.constantFrom(...journalKeys))),
  closes: fc.nat({ max: 9 }).map((chance) => chance === 0),
  staleness: fc.constantFrom(...(["none", "none", "none", "older", "other epoch", "other existence"] as const)),
});

/** What a part is made from beside its plan. */
export interface PartSurroundings {
  readonly coordinationId: string;
  /** The coordination as it is; undefined when it does not exist. */
  readonly before: ArrayCoordination | undefined;
  /** For a coordination that begins. */
  readonly newEpoch: () => string;
}

/** A part as its coordination's only writer makes it; undefined when there is nothing to do. */
export function partOf(plan: PartPlan, { coordinationId, before, newEpoch }: PartSurroundings): CommitPart | undefined {
  const expected = before && { epoch: before.header.epoch, commits: before.header.commits };
  if (plan.removes) return expected && { action: "remove", coordinationId, expected };
  const old = before?.header ?? headerOf({ coordinationId, epoch: newEpoch(), revision: 0n, commits: 0n });
  const rollBackTo = plan.rollBack > 0 ? rollbackTarget(old, plan.rollBack) : undefined;
  const headSequence = old.headSequence + BigInt(plan.append.length);
  const oldestSequence = least(headSequence + 1n, old.oldestSequence + BigInt(plan.expire));
  const kept = (before?.entries ?? []).filter(
    ({ sequence }) => sequence >= oldestSequence && (rollBackTo === undefined || sequence <= rollBackTo),
  );
  const header: CoordinationHeader = {
    ...old,
    revision: old.revision + 1n,
    commits: old.commits + 1n,
    headSequence,
    oldestSequence,
    trimmedThroughSequence: least(old.oldestSequence - 1n, old.trimmedThroughSequence + BigInt(plan.trim)),
    lastSignalTimeMs: 1_700_000_000_000 + Number(headSequence),
    sentByType: old.sentByType.map((count, type) => (type === 4 ? count + plan.append.length : count)),
    ...(plan.closes && { closeTimeMs: 1_700_000_000_500, closeReason: "done, \u{1f44d}" }),
    ...(rollBackTo !== undefined && rolledBack(old, rollBackTo)),
  };
  return {
    action: "write",
    expected,
    header,
    entries: newEntries(plan, old.headSequence, { coordinationId, kept }),
    records: recordsOf(plan),
    ...(rollBackTo !== undefined && { removeAfterSequence: rollBackTo }),
    ...(plan.trimRecordsBefore !== undefined && {
      trimRecords: { kind: "audit" as const, beforeKey: plan.trimRecordsBefore },
    }),
  };
}

/** The same part on a version that is not there. */
export function stalePart(part: CommitPart, staleness: Exclude<PartPlan["staleness"], "none">): CommitPart {
  const { expected } = part;
  const other = "01890000-0000-7000-8000-00000000ffff";
  if (part.action === "remove") {
    return { ...part, expected: { ...part.expected, commits: part.expected.commits + 1n } };
  }
  if (expected === undefined) return { ...part, expected: { epoch: part.header.epoch, commits: 1n } };
  if (staleness === "older") return { ...part, expected: { ...expected, commits: expected.commits - 1n } };
  if (staleness === "other epoch") return { ...part, expected: { ...expected, epoch: other } };
  return { ...part, expected: undefined };
}

function rolledBack(header: CoordinationHeader, to: bigint): Pick<CoordinationHeader, "generation" | "removedRanges"> {
  const generation = header.generation + 1;
  const range = { afterSequence: to, throughSequence: header.headSequence, generation };
  return { generation, removedRanges: withRemovedRange(header.removedRanges, range) };
}

function rollbackTarget({ headSequence, oldestSequence }: CoordinationHeader, signals: number): bigint | undefined {
  const target = headSequence - BigInt(signals);
  return target < oldestSequence - 1n ? undefined : target;
}

function newEntries(
  { append }: PartPlan,
  headSequence: bigint,
  { coordinationId, kept }: { readonly coordinationId: string; readonly kept: readonly LogEntry[] },
): readonly LogEntry[] {
  // A request that is known makes no second entry: the coordinator sees to that.
  const taken = new Set(kept.map((entry) => entry.requestKey));
  return append.map(({ request, length }, index) => {
    const isNew = request !== undefined && !taken.has(requestKey(request));
    if (isNew) taken.add(requestKey(request));
    const event = { case: "interAgentMessage" as const, value: { message: "x".repeat(length) } };
    const requestId = isNew ? `r${request}` : "";
    return entryAt(headSequence + BigInt(index) + 1n, { coordinationId, event, requestId });
  });
}

function recordsOf({ records, trimRecordsBefore }: PartPlan): readonly JournalChange[] {
  // The audit's new lines follow those that a trim takes away.
  const isWritable = (change: PartPlan["records"][number]): boolean =>
    trimRecordsBefore === undefined || change.kind !== "audit" || compareBytes(change.key, trimRecordsBefore) >= 0;
  return records
    .filter(isWritable)
    .map(({ kind, key, value }) => ({ kind, key, value: value === undefined ? undefined : Buffer.from(value) }));
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
