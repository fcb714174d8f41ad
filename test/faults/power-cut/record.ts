/*
 * Works with a real store and writes down what it told whom: `record.ts DIRECTORY MARKERS SEED COMMITS [BUG]`. It runs under
 * strace, so that the order of what was written, what was synced and what was told is known. Every line of MARKERS is written
 * by a call of its own, at the moment it is told.
 */
import { openSync, writeSync } from "node:fs";
import { prepareSignal } from "../../../server/src/model/prepare-signals.js";
import { openLmdbStore } from "../../../server/src/store/lmdb/lmdb-signal-store.js";
import { CoordinatorUnderTest } from "../../support/coordinator-under-test.js";
import { type Random, randomFrom } from "../harness/random.js";
import { plannedMessage } from "../journal/planned-signal.js";
import { plantBug } from "../planted/planted-bugs.js";
import type { Marker } from "./marker.js";

const coordinationIds = ["first", "second"];
const retentionSignals = 1_000_000;
/** So few that the commits of this short run write rows of requests too. */
const requestsPerRow = 50;
/** So few that the commits of this short run go into the tree several times. */
const turnBytes = 8_192;

const [directory = "", markerPath = "", seed = "", commits = "", bug] = process.argv.slice(2);
if (bug !== undefined) plantBug(bug);
// Every second run makes small commits, which go into the write-ahead log first; the others' go into the tree.
const { writersEach, maxBatch } =
  Number(seed) % 2 === 0 ? { writersEach: 1, maxBatch: 2 } : { writersEach: 3, maxBatch: 12 };
const markers = openSync(markerPath, "w");
const mark = (marker: Marker): void => void writeSync(markers, `${JSON.stringify(marker)}\n`);

const store = await openLmdbStore({ directory, requestsPerRow, turnBytes });
const subject = new CoordinatorUnderTest({
  store,
  retentionSignals,
  recipientValidation: "off",
  senderValidation: "off",
});
let answered = 0;
const readers = coordinationIds.map((coordinationId) => readAll(coordinationId));
await Promise.all(
  coordinationIds.flatMap((coordinationId) =>
    Array.from({ length: writersEach }, (_, writer) => {
      return writeUntilDone(coordinationId, writer, randomFrom(Number(seed)).fork(`${coordinationId}/${writer}`));
    }),
  ),
);
// As a machine ends that loses its power: nothing is closed.
process.exit(0);

async function writeUntilDone(coordinationId: string, writer: number, random: Random): Promise<void> {
  for (let first = 0; answered < Number(commits); ) {
    const count = random.integer(1, maxBatch);
    const isAtomic = count > 1 && random.chance(0.4);
    mark({ kind: "sent", coordinationId, writer, first, count, isAtomic });
    const planned = Array.from({ length: count }, (_, index) => ({ writer, ordinal: first + index }));
    const signals = planned.map((each) => prepareSignal(plannedMessage(coordinationId, each)));
    const { coordinator } = subject;
    const stored = isAtomic
      ? await coordinator.sendAtomically(signals)
      : (await coordinator.sendEach(signals)).map((outcome) => outcome.stored);
    const sequences = stored.map((each) => Number(each?.sequence ?? 0));
    mark({ kind: "acknowledged", coordinationId, writer, first, sequences });
    answered += 1;
    first += count;
  }
}

async function readAll(coordinationId: string): Promise<void> {
  const reader = subject.subscribe({ coordinationId, start: { at: "earliest" } });
  for (let item = await reader.next(); item !== undefined; item = await reader.next()) {
    if (item.kind !== "batch" && item.kind !== "checkpoint") continue;
    const { afterSequence, throughSequence } = item;
    const signals = item.kind === "batch" ? item.entries.map(({ signal }) => signal) : [];
    mark({
      kind: "shown",
      coordinationId,
      after: Number(afterSequence),
      through: Number(throughSequence),
      signals: signals.map(({ sequence, signalId, requestId }) => [Number(sequence), signalId, requestId]),
    });
  }
}

void readers;
