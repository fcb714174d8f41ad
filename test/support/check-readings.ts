/** Checks what readers were told against what was accepted, rolled back and removed. Throws LogViolation. */
import type { TailItem } from "../../server/src/delivery/tail-item.js";
import { decodeCursor } from "../../server/src/model/cursor.js";
import { checkSame, LogViolation } from "./log-violation.js";
import type { Life, Outcome, Reading, Rollback } from "./random-interleaving.js";
import { expectedSequences, positionOf, sequencesOf } from "./random-traffic.js";

type Lives = Outcome["lives"];

/** Checks that no number of a log was left out. */
export function checkNumbers({ lives }: Outcome): void {
  for (const { log } of lives.values()) {
    const given = log.map(({ sequence }) => String(sequence));
    checkSame(
      "numbers given",
      given,
      log.map((_, index) => String(index + 1)),
    );
  }
}

/** Checks all that one reader was told, and how it ended. */
export function checkReading(outcome: Outcome, reading: Reading): void {
  for (const item of reading.items) {
    const life = outcome.lives.get(epochOf(item));
    if (life !== undefined) checkRange(life, reading, item);
  }
  checkStart(reading);
  checkEnd(outcome, reading);
}

/** Checks of a reader that waits, when nothing is under way, that nothing is pending for it. */
export function checkWaiting(lives: Lives, { view, items }: Reading): void {
  const last = items.at(-1);
  if (last === undefined) throw new LogViolation("lost", "a reader waits for ever for its first item");
  const life = lives.get(epochOf(last));
  if (life === undefined) {
    const begun = [...lives.values()].some(({ isDeleted }) => !isDeleted);
    if (begun) throw new LogViolation("lost", "a reader waits for ever for a coordination that has begun");
    return;
  }
  const position = positionOf(last);
  if (life.isDeleted) throw waitsForEver(position, "the coordination was removed");
  if (rollbackAt(life, position, generationOf(last)) !== undefined) throw waitsForEver(position, "it was rolled back");
  const pending = expectedSequences(logAt(life, Number.POSITIVE_INFINITY), view, { after: position });
  if (pending.length > 0) throw waitsForEver(position, `${pending.slice(0, 10)} are pending for it`);
}

function waitsForEver(position: bigint, why: string): LogViolation {
  return new LogViolation("lost", `a reader that was told of everything through ${position} waits for ever: ${why}`);
}

/** A batch or checkpoint stands for its range: all of it that the reader is to see, and nothing else. */
function checkRange(life: Life, { view }: Reading, item: TailItem): void {
  if (item.kind !== "batch" && item.kind !== "checkpoint") return;
  const range = { after: item.afterSequence, through: item.throughSequence };
  const expected = expectedSequences(logAt(life, generationOf(item)), view, range);
  checkSame(`after ${range.after} through ${range.through}`, sequencesOf([item]).map(String), expected.map(String));
}

function checkStart({ start, items }: Reading): void {
  const [first] = items;
  if (first === undefined) return;
  if (start.at === "cursor") checkSame("resumed at", [String(positionOf(first))], [String(start.cursor.sequence)]);
  if (start.at === "sequence") checkSame("started at", [String(positionOf(first))], [String(start.afterSequence)]);
}

/** Whoever was told of something that was taken out is told nothing more but that; all others come to the end of the log. */
function checkEnd(outcome: Outcome, reading: Reading): void {
  const { items, error, wasCut } = reading;
  const last = items.at(-1);
  const life = outcome.lives.get(last === undefined ? "" : epochOf(last));
  if (life !== undefined) checkNothingAfterRollback(life, items);
  if (error !== undefined) {
    if (!isExplained(outcome, reading, error.reason)) {
      throw new LogViolation(
        "lost",
        `a reader was ended with ${error.reason} after ${last && positionOf(last)}: ${error.message}`,
      );
    }
  } else if (!wasCut && last !== undefined) {
    const head = life?.log.at(-1)?.sequence;
    checkSame("the last position", [String(positionOf(last))], [String(head)]);
  }
}

function checkNothingAfterRollback(life: Life, items: readonly TailItem[]): void {
  for (const [index, item] of items.entries()) {
    const rollback = rollbackAt(life, positionOf(item), generationOf(item));
    if (rollback === undefined) continue;
    const later = items.slice(index).filter((each) => generationOf(each) >= rollback.generation);
    if (later.length === 0) continue;
    throw new LogViolation(
      "duplicated",
      `a reader at ${positionOf(item)} went on past a rollback to ${rollback.afterSequence}`,
    );
  }
}

function isExplained(outcome: Outcome, reading: Reading, reason: string): boolean {
  const { items, start, error } = reading;
  const last = items.at(-1);
  const epoch = last === undefined ? (start.at === "cursor" ? start.cursor.epoch : "") : epochOf(last);
  const life = outcome.lives.get(epoch);
  const told = last === undefined ? (start.at === "sequence" ? start.afterSequence : undefined) : positionOf(last);
  switch (reason) {
    case "ROLLED_BACK":
      return wasRolledBack(outcome, reading, BigInt(error?.metadata["resume_after_sequence"] ?? -1));
    case "CURSOR_EXPIRED":
      return life?.isDeleted !== false || told === undefined || told < outcome.oldestSequence - 1n;
    case "COORDINATION_NOT_FOUND":
      return life?.isDeleted === true;
    case "EPOCH_CHANGED":
      return last === undefined && life?.isDeleted === true;
    case "CURSOR_AHEAD":
      return last === undefined && start.at === "sequence";
    default:
      return false;
  }
}

function wasRolledBack({ lives }: Outcome, { items, start }: Reading, resumeAfter: bigint): boolean {
  const last = items.at(-1);
  // It may have looked at more than it was told of, and a later rollback may have taken out more.
  const told = last === undefined ? undefined : decodeCursor(last.cursor);
  const from = told ?? (start.at === "cursor" ? start.cursor : { generation: 0, sequence: 0n });
  return [...lives.values()].some(({ rollbacks }) =>
    rollbacks.some(
      (each) =>
        each.generation > from.generation && each.throughSequence >= from.sequence && each.afterSequence >= resumeAfter,
    ),
  );
}

/** The log as somebody sees it who knows of the rollbacks through a generation. */
function logAt({ log, rollbacks }: Life, generation: number): Pick<Life, "log"> {
  const past = rollbacks.filter((rollback) => rollback.generation <= generation);
  if (past.length === 0) return { log };
  const isLeft = (sequence: bigint) =>
    !past.some((each) => sequence > each.afterSequence && sequence <= each.throughSequence);
  return { log: log.filter(({ sequence }) => isLeft(sequence)) };
}

/** The first rollback that took out a position of which it was said without knowing of it. */
function rollbackAt({ rollbacks }: Life, position: bigint, generation: number): Rollback | undefined {
  const later = rollbacks.filter((each) => each.generation > generation);
  later.sort((a, b) => a.generation - b.generation);
  return later.find((each) => position > each.afterSequence && position <= each.throughSequence);
}

function generationOf({ cursor }: TailItem): number {
  return decodeCursor(cursor).generation;
}

function epochOf({ cursor }: TailItem): string {
  return decodeCursor(cursor).epoch;
}
