/*
 * When the signals of one named subscription were acknowledged. Whether one was, is known otherwise: it was scanned, matches, and is
 * neither unsettled nor a dead letter. Problem: a time for every signal would be a record for every delivery, for ever. So the last ones
 * are kept each for itself, in rows that are written one at a time and in turn, and those that leave them are thinned out: then a
 * time says by when at the latest. Cost: one small row for each commit that settles something.
 */

/** When a signal was acknowledged, and when it had been leased to a consumer first; milliseconds on the wall clock. */
export type AcknowledgedTime = readonly [sequence: string, acknowledgedMs: number, deliveredMs: number];

/** Some of a subscription's times, as the journal keeps them. */
export interface AcknowledgedRow {
  /** Counts the rows that were ever begun; 0 is the one of the older times. */
  readonly number: number;
  /**
   * In a row of recent ones as they came. In the one of the older: ascending, each of all from behind the one before it through its
   * sequence, by when at the latest.
   */
  readonly times: readonly AcknowledgedTime[];
  /** In the row of the older: a dead letter through this sequence had to go. What has no exact time up to here may have been one. */
  readonly lostThrough?: string | undefined;
}

/** A row in its place. */
export interface PlacedRow {
  readonly slot: number;
  readonly row: AcknowledgedRow;
}

/** What is known of when a signal was acknowledged. */
export interface KnownTime {
  readonly acknowledgedMs: number;
  readonly deliveredMs: number;
}

/** A subscription's rows by their places. */
export type RowAt = (slot: number) => AcknowledgedRow | undefined;

const olderSlot = 0;
const recentRows = 8;
const timesPerRow = 32;
const maxOlderTimes = 32;

/** The places of a subscription's rows. */
export const acknowledgedSlots: readonly number[] = Array.from({ length: recentRows + 1 }, (_, slot) => slot);

/** Notes a time. Answers the rows that change by it. */
export function withAcknowledged(rowAt: RowAt, time: AcknowledgedTime): readonly PlacedRow[] {
  const newest = newestRow(rowAt);
  if (newest !== undefined && newest.times.length < timesPerRow) {
    return [{ slot: slotOf(newest.number), row: { ...newest, times: [...newest.times, time] } }];
  }
  const number = (newest?.number ?? 0) + 1;
  const begun = { slot: slotOf(number), row: { number, times: [time] } };
  const leaving = rowAt(begun.slot);
  if (leaving === undefined) return [begun];
  const older = rowAt(olderSlot);
  const times = thinnedOut(older?.times ?? [], leaving.times);
  return [begun, { slot: olderSlot, row: { number: 0, times, lostThrough: older?.lostThrough } }];
}

/** Notes that a dead letter had to go. Answers the row that changes by it. */
export function withLost(rowAt: RowAt, sequence: string): PlacedRow {
  const { times = [], lostThrough = "0" } = rowAt(olderSlot) ?? {};
  const through = BigInt(sequence) > BigInt(lostThrough) ? sequence : lostThrough;
  return { slot: olderSlot, row: { number: 0, times, lostThrough: through } };
}

/** When a signal was acknowledged, exactly; undefined where that is not kept. */
export function exactTime(rowAt: RowAt, sequence: string): KnownTime | undefined {
  for (const slot of acknowledgedSlots) {
    if (slot === olderSlot) continue;
    const found = rowAt(slot)?.times.find(([each]) => each === sequence);
    if (found !== undefined) return knownTime(found);
  }
  return undefined;
}

/** By when at the latest a signal was acknowledged of which it is known that it was; undefined where nothing is kept of it. */
export function latestTime(rowAt: RowAt, sequence: string): KnownTime | undefined {
  const found = rowAt(olderSlot)?.times.find(([through]) => BigInt(through) >= BigInt(sequence));
  return found && knownTime(found);
}

/** Whether a signal may have been a dead letter that had to go. */
export function mayBeLost(rowAt: RowAt, sequence: string): boolean {
  return BigInt(rowAt(olderSlot)?.lostThrough ?? 0) >= BigInt(sequence);
}

function newestRow(rowAt: RowAt): AcknowledgedRow | undefined {
  let newest: AcknowledgedRow | undefined;
  for (const slot of acknowledgedSlots) {
    const row = slot === olderSlot ? undefined : rowAt(slot);
    if (row !== undefined && row.number > (newest?.number ?? 0)) newest = row;
  }
  return newest;
}

function slotOf(number: number): number {
  return 1 + ((number - 1) % recentRows);
}

function thinnedOut(
  older: readonly AcknowledgedTime[],
  leaving: readonly AcknowledgedTime[],
): readonly AcknowledgedTime[] {
  let times = [...older];
  for (const time of [...leaving].sort(([a], [b]) => Number(BigInt(a) - BigInt(b)))) {
    const at = times.findIndex(([through]) => BigInt(through) >= BigInt(time[0]));
    const known = times[at];
    if (known === undefined) times.push(time);
    else times[at] = joined(time, known);
  }
  while (times.length > maxOlderTimes) times = halved(times);
  return times;
}

/** Of the older half every second goes: what it said is then said by the one behind it, which is never too early. */
function halved(times: readonly AcknowledgedTime[]): AcknowledgedTime[] {
  const older = times.slice(0, times.length - maxOlderTimes / 2);
  const kept: AcknowledgedTime[] = [];
  for (const [index, time] of older.entries()) {
    const before = older[index - 1];
    if (index % 2 === 1 && before !== undefined) kept.push(joined(before, time));
    else if (index === older.length - 1) kept.push(time);
  }
  return [...kept, ...times.slice(older.length)];
}

function joined(before: AcknowledgedTime, time: AcknowledgedTime): AcknowledgedTime {
  return [time[0], Math.max(before[1], time[1]), Math.max(before[2], time[2])];
}

function knownTime([, acknowledgedMs, deliveredMs]: AcknowledgedTime): KnownTime {
  return { acknowledgedMs, deliveredMs };
}
