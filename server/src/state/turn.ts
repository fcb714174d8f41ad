import type { Clock } from "../model/clock.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CommitPart, SignalStore } from "../store/signal-store.js";
import { Draft } from "./draft.js";
import type { QueuedOperation } from "./operation.js";
import type { WaitingOperations } from "./operation-queues.js";
import type { SessionState } from "./session-state.js";

/** One coordination's share of a commit: its operations, run on a draft. */
export interface Turn {
  readonly session: SessionState;
  readonly queued: readonly QueuedOperation[];
  readonly draft: Draft;
  /** What the store has to write; undefined when nothing changed. */
  readonly part: CommitPart | undefined;
  /** Answer the operations; called when their draft is durable. */
  readonly answers: readonly (() => void)[];
  /** Whether what was assumed of its requests has decided something: only looking them up tells what is right. */
  readonly isUndecided: boolean;
}

/** What turns are made with. */
export interface TurnOptions {
  readonly store: SignalStore;
  readonly clock: Clock;
  readonly retentionSignals: number;
  readonly maxCoordinations: number;
}

/**
 * Looks up the requests of the operations and runs them, each coordination's in order on a draft of its own. Requests of
 * coordinations that `assumesNew` names are not looked up but taken for new, and the store is asked to make sure.
 */
export async function runTurns(
  options: TurnOptions,
  waiting: readonly WaitingOperations[],
  assumesNew: (session: SessionState) => boolean = () => false,
): Promise<readonly Turn[]> {
  const countBeginning = beginningCounter(options);
  const looked = waiting.map(({ session, queued }) =>
    assumesNew(session) ? undefined : findRequests(options.store, session, queued),
  );
  const [only] = looked;
  // One coordination at a time is what there mostly is, and a moment less on its way to the store.
  const known = looked.length === 1 ? [await only] : await Promise.all(looked);
  return waiting.map(({ session, queued }, index) =>
    runTurn(options, { session, queued, knownRequests: known[index], countBeginning }),
  );
}

interface TurnInput {
  readonly session: SessionState;
  readonly queued: readonly QueuedOperation[];
  /** Undefined where they were not looked up. */
  readonly knownRequests: ReadonlyMap<string, LogEntry> | undefined;
  readonly countBeginning: () => () => void;
}

function runTurn(
  { store, clock, retentionSignals }: TurnOptions,
  { session, queued, knownRequests, countBeginning }: TurnInput,
): Turn {
  const draft = new Draft({
    session,
    nowMs: clock.nowMs(),
    acceptedAtMs: clock.monotonicMs(),
    retentionSignals,
    countBeginning,
    knownRequests: knownRequests ?? noRequests,
    sharesWaits: store.shared !== undefined,
  });
  const answers = queued.map(({ operation, resolve, reject }) => {
    try {
      const value = draft.transact(operation.run);
      return () => resolve(value);
    } catch (error) {
      return () => reject(error);
    }
  });
  const part = draft.toCommitPart();
  if (knownRequests !== undefined) return { session, queued, draft, part, answers, isUndecided: false };
  return { session, queued, draft, part: assumingNew(part), answers, isUndecided: !storesRequests(part, queued) };
}

function assumingNew(part: CommitPart | undefined): CommitPart | undefined {
  return part?.action === "write" ? { ...part, assumesNewRequests: true } : part;
}

/** Whether each request of the operations has become an entry: then it matters only whether the store knows it. */
function storesRequests(part: CommitPart | undefined, queued: readonly QueuedOperation[]): boolean {
  let missing = 0;
  for (const { operation } of queued) missing += operation.requestKeys.length;
  if (part?.action === "write") for (const { requestKey } of part.entries) if (requestKey !== undefined) missing -= 1;
  return missing === 0;
}

function beginningCounter({ maxCoordinations, store }: TurnOptions): () => () => void {
  let begun = 0;
  return () => {
    if (store.count() + begun >= maxCoordinations) throw tooManyCoordinations(maxCoordinations);
    begun += 1;
    return () => {
      begun -= 1;
    };
  };
}

const noRequests: ReadonlyMap<string, LogEntry> = new Map();

function findRequests(
  store: SignalStore,
  { header, coordinationId }: SessionState,
  queued: readonly QueuedOperation[],
): ReadonlyMap<string, LogEntry> | Promise<ReadonlyMap<string, LogEntry>> {
  const keys = requestKeysOf(queued);
  if (header === undefined || keys.length === 0) return noRequests;
  return store.findRequests(coordinationId, header.epoch, keys).then((entries) => knownRequests(keys, entries));
}

function requestKeysOf(queued: readonly QueuedOperation[]): readonly string[] {
  if (queued.length === 1) return queued[0]?.operation.requestKeys ?? [];
  const keys: string[] = [];
  for (const { operation } of queued) for (const key of operation.requestKeys) keys.push(key);
  return keys;
}

function knownRequests(
  keys: readonly string[],
  entries: readonly (LogEntry | undefined)[],
): ReadonlyMap<string, LogEntry> {
  let known: Map<string, LogEntry> | undefined;
  for (let index = 0; index < entries.length; index++) {
    const entry = entries[index];
    if (entry === undefined) continue;
    known ??= new Map();
    known.set(keys[index] ?? "", entry);
  }
  return known ?? noRequests;
}

function tooManyCoordinations(limit: number): CoordinationError {
  return new CoordinationError(
    "TOO_MANY_COORDINATIONS",
    `the server holds ${limit} coordinations, which is its limit`,
    { metadata: { limit: String(limit) } },
  );
}
