import { AsyncLocalStorage } from "node:async_hooks";
import { Tailer } from "../../../server/src/delivery/tailer.js";
import { LogEntry } from "../../../server/src/model/log-entry.js";
import { SignalCoordinator } from "../../../server/src/signal-coordinator.js";
import { Draft } from "../../../server/src/state/draft.js";
import { GroupCommitter } from "../../../server/src/state/group-committer.js";
import { LogReader } from "../../../server/src/state/log-reader.js";
import { ReaderIndex } from "../../../server/src/state/reader-index.js";
import { SessionState } from "../../../server/src/state/session-state.js";
import { SubscriptionDraft } from "../../../server/src/state/subscription-draft.js";
import { FailStopStore } from "../../../server/src/store/fail-stop-store.js";
import type { CommitOutcome, CommitPart } from "../../../server/src/store/signal-store.js";
import { serverBugs } from "./server-bugs.js";

/*
 * Bugs that the fault programs must find. Each changes the classes of this process, before it opens anything: the product has
 * no switch for any of them.
 */

type Commit = (this: FailStopStore, parts: readonly CommitPart[]) => Promise<readonly CommitOutcome[]>;

/** The bugs by name, and what plants them. */
const plantedBugs = {
  "acknowledge before commit": acknowledgeBeforeCommit,
  "notify before durable": notifyBeforeDurable,
  "sequence taken twice": takeSequenceTwice,
  "trim past a reader": trimPastReader,
  "lost wake-up": loseWakeUp,
  "resume off by one": resumeOffByOne,
  "replay of a rolled-back signal": keepRolledBackSignals,
  "idempotency key not stored": forgetRequests,
  "batch in two commits": splitCommits,
  "conflict taken for success": ignoreConflicts,
  "lease not kept": forgetLeases,
} as const satisfies Readonly<Record<(typeof serverBugs)[number], () => void>>;

/** Plants a bug in this process. Throws an Error that names those there are. */
export function plantBug(name: string): void {
  const [, plant] = Object.entries(plantedBugs).find(([bug]) => bug === name) ?? [];
  if (plant === undefined) throw new Error(`bug "${name}" is not one of ${serverBugs.join(", ")}`);
  plant();
}

// Long enough for a kill to fall into, short enough for a run to end.
const plantedDelayMs = 30;

function replaceCommit(replacement: (commit: Commit) => Commit): void {
  FailStopStore.prototype.commit = replacement(FailStopStore.prototype.commit);
}

function acknowledgeBeforeCommit(): void {
  let last: Promise<unknown> = Promise.resolve();
  replaceCommit(
    (commit) =>
      async function (parts) {
        last = last.then(() => delayed(() => commit.call(this, parts)));
        return parts.map(() => "committed");
      },
  );
}

function notifyBeforeDurable(): void {
  const sessions = new WeakMap<Draft, SessionState>();
  const applied = new WeakSet<object>();
  const { execute } = GroupCommitter.prototype;
  GroupCommitter.prototype.execute = function (session, operation) {
    const run: typeof operation.run = (draft) => {
      sessions.set(draft, session);
      return operation.run(draft);
    };
    return execute.call(this, session, { ...operation, run }) as ReturnType<typeof execute<never>>;
  };
  const { apply } = SessionState.prototype;
  SessionState.prototype.apply = function (change) {
    if (!applied.has(change)) apply.call(this, change);
    applied.add(change);
  };
  const { toCommitPart } = Draft.prototype;
  Draft.prototype.toCommitPart = function () {
    const part = toCommitPart.call(this);
    if (part !== undefined) sessions.get(this)?.apply(this);
    return part;
  };
  replaceCommit(
    (commit) =>
      function (parts) {
        return delayed(() => commit.call(this, parts));
      },
  );
}

function takeSequenceTwice(): void {
  const { load } = FailStopStore.prototype;
  FailStopStore.prototype.load = async function (coordinationId) {
    const stored = await load.call(this, coordinationId);
    if (stored === undefined || stored.header.headSequence === 0n) return stored;
    return { ...stored, header: { ...stored.header, headSequence: stored.header.headSequence - 1n } };
  };
}

function trimPastReader(): void {
  const inReader = new AsyncLocalStorage<boolean>();
  const { begin, resume } = Tailer.prototype;
  Tailer.prototype.begin = function (...start) {
    return inReader.run(true, () => begin.apply(this, start));
  };
  Tailer.prototype.resume = function () {
    inReader.run(true, () => resume.call(this));
  };
  const header = Object.getOwnPropertyDescriptor(SessionState.prototype, "header")?.get;
  Object.defineProperty(SessionState.prototype, "header", {
    get(this: SessionState) {
      const real = header?.call(this);
      return real && inReader.getStore() === true ? { ...real, oldestSequence: 1n } : real;
    },
  });
  const { forward } = LogReader.prototype;
  LogReader.prototype.forward = function (seen, stretch) {
    return forward.call(this, seen, stretch, "skip");
  };
}

function loseWakeUp(): void {
  let count = 0;
  const { wakeFor } = ReaderIndex.prototype;
  ReaderIndex.prototype.wakeFor = function (entries) {
    count += 1;
    if (count % 3 !== 0) wakeFor.call(this, entries);
  };
}

function resumeOffByOne(): void {
  const { openSubscription } = SignalCoordinator.prototype;
  SignalCoordinator.prototype.openSubscription = function (request, sink) {
    const { start } = request;
    if (start.at !== "cursor" || start.cursor.sequence === 0n) return openSubscription.call(this, request, sink);
    const cursor = { ...start.cursor, sequence: start.cursor.sequence - 1n };
    return openSubscription.call(this, { ...request, start: { at: "cursor", cursor } }, sink);
  };
}

function keepRolledBackSignals(): void {
  replaceCommit(
    (commit) =>
      function (parts) {
        return commit.call(
          this,
          parts.map((part) => {
            if (part.action !== "write" || part.removeAfterSequence === undefined) return part;
            const { removeAfterSequence: _forgotten, ...rest } = part;
            return rest;
          }),
        );
      },
  );
}

function forgetRequests(): void {
  replaceCommit(
    (commit) =>
      function (parts) {
        return commit.call(
          this,
          parts.map((part) => (part.action === "remove" ? part : { ...part, entries: part.entries.map(anonymous) })),
        );
      },
  );
}

function splitCommits(): void {
  replaceCommit(
    (commit) =>
      async function (parts) {
        for (const part of parts) {
          const [first, ...rest] = part.action === "write" ? part.entries : [];
          if (part.action === "remove" || first === undefined || rest.length === 0) {
            await commit.call(this, [part]);
            continue;
          }
          const half = { ...part.header, headSequence: first.sequence };
          await commit.call(this, [{ ...part, header: half, entries: [first] }]);
          await commit.call(this, [{ ...part, entries: rest }]);
        }
        return parts.map(() => "committed");
      },
  );
}

function ignoreConflicts(): void {
  replaceCommit(
    (commit) =>
      async function (parts) {
        return (await commit.call(this, parts)).map(() => "committed");
      },
  );
}

function forgetLeases(): void {
  const { putDelivery } = SubscriptionDraft.prototype;
  let count = 0;
  SubscriptionDraft.prototype.putDelivery = function (name, record) {
    count += 1;
    const isForgotten = record.lease !== undefined && count % 10 === 0;
    putDelivery.call(this, name, isForgotten ? { ...record, dueMs: 1 } : record);
  };
}

function anonymous({ sequence, bytes, acceptedAtMs, facts }: LogEntry): LogEntry {
  return new LogEntry({ sequence, bytes, acceptedAtMs, facts: { ...facts, requestId: "" } });
}

function delayed<T>(run: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    setTimeout(() => run().then(resolve, reject), plantedDelayMs);
  });
}
