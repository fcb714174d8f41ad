import { prepareSignal } from "../../../server/src/model/prepare-signals.js";
import { LogReader } from "../../../server/src/state/log-reader.js";
import { openLmdbStore } from "../../../server/src/store/lmdb/lmdb-signal-store.js";
import type { SignalStore } from "../../../server/src/store/signal-store.js";
import type { FaultReport } from "../harness/fault-report.js";
import { type CoordinationJournal, LogChecker } from "./check-log.js";
import { plannedFromRequestId, plannedMessage, requestIdOf } from "./planned-signal.js";

/** Opens the store that a fault left behind, as a server does, and compares what it holds with what everybody was told. */
export async function checkStore(
  report: FaultReport,
  directory: string,
  journals: readonly CoordinationJournal[],
  { isSettled = false }: { readonly isSettled?: boolean } = {},
): Promise<void> {
  const store = await openLmdbStore({ directory });
  try {
    for (const journal of journals) await checkCoordination(report, store, journal, isSettled);
  } finally {
    await store.close();
  }
}

async function checkCoordination(
  report: FaultReport,
  store: SignalStore,
  journal: CoordinationJournal,
  isSettled: boolean,
): Promise<void> {
  const { coordinationId } = journal;
  const checker = new LogChecker(report, journal);
  const header = (await store.load(coordinationId))?.header;
  const found = new Set<string>();
  if (header !== undefined) {
    const onCorrupt = (error: unknown) => report.violation("lost", String(error));
    const reader = new LogReader(store, onCorrupt);
    for (let fromSequence = 0n; fromSequence < header.headSequence; ) {
      const entries = await reader.forward(header, { fromSequence });
      for (const { signal } of entries) {
        found.add(signal.requestId);
        checker.check(signal);
      }
      fromSequence = entries.at(-1)?.sequence ?? header.headSequence;
    }
    await checkRequests(report, store, journal, { epoch: header.epoch, found });
  }
  checker.finish(isSettled);
}

/** A request must be known when its signal is in the log, and only then: else a repetition would make another signal. */
async function checkRequests(
  report: FaultReport,
  store: SignalStore,
  { coordinationId, writers }: CoordinationJournal,
  { epoch, found }: { readonly epoch: string; readonly found: ReadonlySet<string> },
): Promise<void> {
  for (const { writer, sentCount } of writers) {
    const planned = Array.from({ length: sentCount }, (_, ordinal) => ({ writer, ordinal }));
    const keys = planned.map((each) => prepareSignal(plannedMessage(coordinationId, each)).requestKey ?? "");
    const entries = await store.findRequests(coordinationId, epoch, keys);
    for (const [index, entry] of entries.entries()) {
      const requestId = requestIdOf({ writer, ordinal: index });
      const isFound = plannedFromRequestId(entry?.signal.requestId ?? "") !== undefined;
      if (isFound === found.has(requestId)) continue;
      report.violation(
        "duplicated",
        `${coordinationId}: request ${requestId} is ${isFound ? "" : "not "}known, its signal is`,
      );
    }
  }
}
