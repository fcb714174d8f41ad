import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { LogEntry } from "../../../server/src/model/log-entry.js";
import type {
  CoordinationHeader,
  JournalRecord,
  SignalStore,
  StoredCoordination,
} from "../../../server/src/store/signal-store.js";
import { checkSame } from "../log-violation.js";
import { type ArrayCoordination, entriesIn, recordsIn, residentRecords } from "./array-store.js";
import { journalKinds, requestIds, requestKey } from "./store-parts.js";

/** Everything there is, in one read. */
const everything = { maxEntries: 10_000, maxBytes: 100_000_000 } as const;
const someEpoch = "01890000-0000-7000-8000-00000000fffe";

/** Reads a coordination in every way there is and compares it with the model. Returns the signals compared. */
export async function checkCoordination(
  store: SignalStore,
  coordinationId: string,
  expected: ArrayCoordination | undefined,
): Promise<number> {
  checkLoaded(await store.load(coordinationId), expected);
  const epoch = expected?.header.epoch ?? someEpoch;
  const forward = { coordinationId, epoch, fromSequence: 0n, ...everything };
  checkEntries("read forward", await store.readForward(forward), entriesIn(expected, forward, "forward"));
  const backward = { ...forward, fromSequence: (expected?.header.headSequence ?? 0n) + 2n };
  checkEntries("read backward", await store.readBackward(backward), entriesIn(expected, backward, "backward"));
  for (const kind of journalKinds) {
    const range = { coordinationId, epoch, kind, limit: 1_000 };
    checkRecords(kind, await store.readJournal(range), recordsIn(expected, range));
  }
  const keys = requestIds.map(requestKey);
  checkRequests(expected, await store.findRequests(coordinationId, epoch, keys));
  assert.deepEqual(
    await store.findRequests(coordinationId, someEpoch, keys),
    requestIds.map(() => undefined),
  );
  return expected?.entries.length ?? 0;
}

/** Checks what loading answered: the header, and the resident part of the journal. */
export function checkLoaded(loaded: StoredCoordination | undefined, expected: ArrayCoordination | undefined): void {
  assert.deepEqual(loaded?.header, expected?.header);
  const resident = expected === undefined ? [] : residentRecords(expected);
  checkSame("resident records", (loaded?.records ?? []).map(recordName).sort(), resident.map(recordName).sort());
}

export function checkEntries(where: string, actual: readonly LogEntry[], expected: readonly LogEntry[]): void {
  checkSame(where, actual.map(entryName), expected.map(entryName));
}

export function checkRecords(
  where: string,
  actual: readonly JournalRecord[],
  expected: readonly JournalRecord[],
): void {
  checkSame(`records of ${where}`, actual.map(recordName), expected.map(recordName));
}

/** Checks headers and their order. */
export function checkHeaders(actual: readonly CoordinationHeader[], expected: readonly CoordinationHeader[]): void {
  assert.deepEqual(actual, expected);
}

function checkRequests(found: ArrayCoordination | undefined, answers: readonly (LogEntry | undefined)[]): void {
  for (const [index, request] of requestIds.entries()) {
    const answer = answers[index];
    const key = requestKey(request);
    const made = (found?.entries ?? []).filter((entry) => entry.requestKey === key);
    const newest = made.at(-1);
    const isHistory = newest !== undefined && newest.sequence >= (found?.header.oldestSequence ?? 1n);
    // What has left the history may be found until it is removed.
    if (!isHistory && answer === undefined) continue;
    const allowed = isHistory ? [newest] : made;
    const isAllowed = allowed.some((entry) => answer !== undefined && entryName(entry) === entryName(answer));
    assert.ok(isAllowed, `request ${request} is ${answer?.sequence}, not ${allowed.map(({ sequence }) => sequence)}`);
  }
}

/** A name that says everything of an entry. */
function entryName({ sequence, bytes, requestKey }: LogEntry): string {
  const hash = createHash("sha1").update(bytes);
  if (requestKey !== undefined) hash.update(requestKey);
  return `${sequence}#${hash.digest("hex").slice(0, 8)}`;
}

function recordName({ kind, key, value }: JournalRecord): string {
  return `${kind} ${JSON.stringify(key)} ${Buffer.from(value).toString()}`;
}
