/*
 * Flips single bits in the files of a store and opens it: damage must be detected (an error, or a crash) or harmless. Nothing
 * that is wrong may be served, and nothing may be missing without a word: signals, requests, journal. After a flip that nobody
 * noticed the store is written to, and read again.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { copyAsKilled } from "../support/copy-as-killed.js";
import { type Contents, readContents } from "./bit-flips/contents.js";
import type { BitFlip, FlipVerdict } from "./bit-flips/flip.js";
import { InspectorProcess } from "./bit-flips/inspector-process.js";
import { buildVariedStore, openVariedStore } from "./bit-flips/varied-store.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import type { Random } from "./harness/random.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";

const dataFile = "signals.mdb";
const logFile = "signals.wal";
const sealFile = "signals.seal";
const sealBytes = 2_048;
const pageBytes = 4_096;
const metaBytes = 168;
const pageFlagsOffset = 18;
const branchFlag = 0x01;
/** A bug of whoever reads, not of the server. */
const damageTakenForAbsence = "damage taken for absence";

await runFaultProgram({
  name: "bit-flips",
  about: "Flips single bits in the files of an embedded store: damage must be detected or harmless.",
  settings: { flips: { about: "bits to flip, one after another", short: 100, deep: 5_000 } },
  plantedBugs: [damageTakenForAbsence],
  run: flipBits,
});

async function flipBits(run: FaultRun<"flips">): Promise<void> {
  await withTemporaryDirectory(async (directory) => {
    const original = join(directory, "original");
    await buildVariedStore(join(directory, "built"), original);
    const read = join(directory, "read");
    copyAsKilled(original, read);
    const subject = await openVariedStore(read);
    const expected = await readContents(subject);
    await subject.dispose();
    const inspector = new InspectorProcess();
    const outcomes = new Map<string, number>();
    const data = await readFile(join(original, dataFile));
    const log = await readFile(join(original, logFile));
    for (; run.report.cycles < run.sizes.flips; run.report.cycles += 1) {
      const flip = chooseFlip(run.random, data, log);
      const task = { original, place: join(directory, "flipped"), flip, expected };
      const verdict = await inspector.look({ ...task, ignoresDamage: run.plantedBug === damageTakenForAbsence });
      outcomes.set(verdict.outcome, (outcomes.get(verdict.outcome) ?? 0) + 1);
      note(run, flip, verdict, expected);
    }
    inspector.end();
    run.report.figure(
      `${data.length} bytes and ${writtenBytes(log)} in the write-ahead log; ${[...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(", ")}`,
    );
  });
}

function note(
  { report }: FaultRun<"flips">,
  { file, offset, bit }: BitFlip,
  verdict: FlipVerdict,
  expected: Contents,
): void {
  report.signalsChecked += Object.keys(expected).length;
  if (verdict.outcome === "wrong") report.violation("lost", `bit ${bit} of ${offset} in ${file}: ${verdict.detail}`);
}

/** Anywhere in the data file; often where the tree is held together, which is a small part of it; in the log; and at times in the notes. */
function chooseFlip(random: Random, data: Buffer, log: Buffer): BitFlip {
  const bit = random.integer(0, 7);
  const kind = random.fraction();
  if (kind < 0.05) return { file: sealFile, offset: random.integer(0, sealBytes - 1), bit };
  if (kind > 0.85) return { file: logFile, offset: random.integer(0, writtenBytes(log) - 1), bit };
  if (kind < 0.2)
    return { file: dataFile, offset: random.integer(0, 1) * pageBytes + random.integer(0, metaBytes - 1), bit };
  if (kind < 0.35) {
    const branches = pagesWith(data, branchFlag);
    const page = branches[random.integer(0, branches.length - 1)] ?? 0;
    return { file: dataFile, offset: page * pageBytes + random.integer(0, pageBytes - 1), bit };
  }
  return { file: dataFile, offset: random.integer(0, data.length - 1), bit };
}

/** The log's first region is the one that is written. */
function writtenBytes(log: Buffer): number {
  const region = log.subarray(0, log.length / 2);
  return region.findLastIndex((byte) => byte !== 0) + 1;
}

function pagesWith(data: Buffer, flag: number): readonly number[] {
  const pages: number[] = [];
  for (let page = 2; page * pageBytes < data.length; page++) {
    if ((data.readUInt16LE(page * pageBytes + pageFlagsOffset) & flag) !== 0) pages.push(page);
  }
  return pages;
}
