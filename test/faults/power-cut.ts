/*
 * Cuts the power: the store's writes and syncs are recorded, and from the record files are rebuilt as a disk may hold them
 * after a cut at any moment. Each must open and hold all that was acknowledged or shown until then, whole batches, and nothing
 * that was not sent; and whoever sends again what was not answered gets everything stored once.
 */
import { spawnSync } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepareSignal } from "../../server/src/model/prepare-signals.js";
import { openLmdbStore } from "../../server/src/store/lmdb/lmdb-signal-store.js";
import { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { skipProgram } from "./harness/skipped.js";
import { missingStrace } from "./harness/strace.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";
import type { CoordinationJournal } from "./journal/check-log.js";
import { checkStore } from "./journal/check-store.js";
import { plannedMessage } from "./journal/planned-signal.js";
import { serverBugs } from "./planted/server-bugs.js";
import { writeImage } from "./power-cut/disk-image.js";
import { toldUntil } from "./power-cut/told.js";
import { readTrace, type Trace, TraceNotUnderstoodError, tracedCalls } from "./power-cut/trace.js";

const name = "power-cut";
const imagesPerTrace = 125;
const answersPerTrace = 150;
/** Recordings of one run that are tried. */
const maxRecordings = 3;
/** Every so many images the senders come back and send again what was not answered. */
const resumeEvery = 10;
/** The bug that is no change of the server: syncs that do nothing. */
const syncsSkipped = "syncs skipped";
type PowerCutRun = FaultRun<"images">;

const recorder = fileURLToPath(new URL("power-cut/record.ts", import.meta.url));

await runFaultProgram({
  name,
  about:
    "Rebuilds the files of an embedded store as a disk may hold them after a power cut at any moment, and opens them.",
  settings: { images: { about: "power cuts", short: 1_000, deep: 50_000 } },
  plantedBugs: [syncsSkipped, ...serverBugs],
  run: cutPower,
});

async function cutPower(run: PowerCutRun): Promise<void> {
  const reason = missingStrace();
  if (reason !== undefined) skipProgram(name, reason);
  const { images } = run.sizes;
  await withTemporaryDirectory(async (directory) => {
    while (run.report.cycles < images) {
      const trace = await recordUnderstood(run, join(directory, "recorded"));
      for (let image = 0; image < imagesPerTrace && run.report.cycles < images; image++) {
        await cutAndCheck(run, trace, join(directory, "image"));
      }
    }
  });
}

/**
 * Records a run that can be understood. Very rarely a line names a file that is none of the store's: strace looks twice which
 * file a descriptor is, and another thread may close it in between. Such a trace is told of, and another one recorded.
 */
async function recordUnderstood(run: PowerCutRun, place: string): Promise<Trace> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await record(run, place);
    } catch (error) {
      if (!(error instanceof TraceNotUnderstoodError) || attempt === maxRecordings) throw error;
      run.report.figure(`a trace was recorded again: ${error.message}`);
    }
  }
}

/** Runs the recorder under strace. */
async function record({ random, plantedBug, report }: PowerCutRun, place: string): Promise<Trace> {
  await rm(place, { recursive: true, force: true });
  const store = join(place, "store");
  await mkdir(store, { recursive: true });
  const files = ["signals.mdb", "signals.mdb.new", "signals.wal", "signals.seal"].map((file) => join(store, file));
  const paths = [store, ...files, join(place, "markers")].flatMap((path) => ["-P", path]);
  const trace = join(place, "trace");
  const form = ["-f", "-y", "-xx", "-v", "-s", "100000000", "-qq", "-e", "signal=none"];
  const bug = plantedBug === undefined || plantedBug === syncsSkipped ? [] : [plantedBug];
  const seed = String(random.integer(0, 2 ** 31));
  const recording = [recorder, store, join(place, "markers"), seed, String(answersPerTrace), ...bug];
  const { status, stderr } = spawnSync(
    "strace",
    [...form, ...paths, "-e", `trace=${tracedCalls}`, "-o", trace, process.execPath, "--import", "tsx", ...recording],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`the recorder ended with ${status}: ${stderr}`);
  const read = await readTrace(trace);
  if (report.cycles === 0)
    report.figure(`${read.writes.length} writes and ${read.syncs.length} syncs in the first trace`);
  return read;
}

async function cutAndCheck(
  { random, report, plantedBug }: PowerCutRun,
  trace: Trace,
  directory: string,
): Promise<void> {
  const at = random.integer(1, trace.length);
  await writeImage(directory, { trace, at, random, ignoresSyncs: plantedBug === syncsSkipped });
  const journals = toldUntil(trace, at);
  report.cycles += 1;
  try {
    await checkStore(report, directory, journals);
    if (report.cycles % resumeEvery === 0) {
      await sendAgain(directory, journals);
      await checkStore(report, directory, journals, { isSettled: true });
    }
  } catch (error) {
    report.violation("lost", `cut at ${at} of ${trace.length}: the store does not open: ${error}`);
  }
  await rm(directory, { recursive: true, force: true });
}

/** Sends everything again as it was sent before, in the same order, and notes the answers. */
async function sendAgain(directory: string, journals: readonly CoordinationJournal[]): Promise<void> {
  const store = await openLmdbStore({ directory });
  await using subject = new CoordinatorUnderTest({
    store,
    retentionSignals: 1_000_000,
    recipientValidation: "off",
    senderValidation: "off",
  });
  for (const { coordinationId, writers } of journals) {
    for (const journal of writers) {
      for (let ordinal = 0; ordinal < journal.sentCount; ) {
        const length = journal.atomicBatches.get(ordinal) ?? 1;
        const planned = Array.from({ length }, (_, index) => ({ writer: journal.writer, ordinal: ordinal + index }));
        const signals = planned.map((each) => prepareSignal(plannedMessage(coordinationId, each)));
        const stored = await subject.coordinator.sendAtomically(signals);
        for (const [index, { sequence }] of stored.entries()) journal.acknowledge(ordinal + index, sequence);
        ordinal += length;
      }
    }
  }
}
