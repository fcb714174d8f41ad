/*
 * When the signals of one named subscription were acknowledged. Whether one was, is known otherwise: it was scanned, matches, and is
 * neither unsettled nor a dead letter. Problem: a time for every signal would be a record for every delivery, for ever. So the last ones
 * are kept each for itself, in rows that are written one at a time and in turn, and those that leave them are thinned out: then a
 * time says by when at the latest. Cost: one small row for each commit that settles something.
 */

/** When a signal was acknowledged, and when it had been leased to a consumer first; milliseconds on the wall clock. */
export interface KnownTime {
  readonly acknowledgedMs: number;
  readonly deliveredMs: number;
}

/** In a row: how long after its `baseMs` a signal was acknowledged, and how long before that it had been leased first. */
type RowTime = readonly [sequence: string, afterBaseMs: number, heldMs: number];

/** Some of a subscription's times, as the journal keeps them. */
export interface AcknowledgedRow {
  /** Counts the rows that were ever begun; 0 is the one of the older times. */
  readonly number: number;
  readonly baseMs: number;
  /**
   * In a row of recent ones as they came. In the one of the older: ascending, each of all from behind the one before it through its
   * sequence, by when at the latest.
   */
  readonly times: readonly RowTime[];
  /** In the row of the older: a dead letter through this sequence had to go. What has no exact time up to here may have been one. */
  readonly lostThrough?: string | undefined;
}

/** A row in its place. */
export interface PlacedRow {
  readonly slot: number;
  readonly row: AcknowledgedRow;
}

/** A subscription's rows by their places. */
export type RowAt = (slot: number) => AcknowledgedRow | undefined;

const olderSlot = 0;
const recentRows = 16;
const timesPerRow = 16;
const maxOlderTimes = 32;

/** The places of a subscription's rows. */
export const acknowledgedSlots: readonly number[] = Array.from({ length: recentRows + 1 }, (_, slot) => slot);

/** Notes when a signal was acknowledged. Answers the rows that change by it. */
export function withAcknowledged(rowAt: RowAt, sequence: string, time: KnownTime): readonly PlacedRow[] {
  const newest = newestRow(rowAt);
  if (newest !== undefined && newest.times.length < timesPerRow) {
    const times = [...newest.times, rowTime(sequence, time, newest.baseMs)];
    return [{ slot: slotOf(newest.number), row: { ...newest, times } }];
  }
  const number = (newest?.number ?? 0) + 1;
  const baseMs = time.acknowledgedMs;
  const begun = { slot: slotOf(number), row: { number, baseMs, times: [rowTime(sequence, time, baseMs)] } };
  const leaving = rowAt(begun.slot);
  if (leaving === undefined) return [begun];
  return [begun, { slot: olderSlot, row: thinnedOut(rowAt(olderSlot) ?? nothingOlder, leaving) }];
}

/** Notes that a dead letter had to go. Answers the row that changes by it. */
export function withLost(rowAt: RowAt, sequence: string): PlacedRow {
  const older = rowAt(olderSlot) ?? nothingOlder;
  const { lostThrough = "0" } = older;
  return {
    slot: olderSlot,
    row: { ...older, lostThrough: isAtOrBefore(sequence, lostThrough) ? lostThrough : sequence },
  };
}

/** When a signal was acknowledged, exactly; undefined where that is not kept. */
export function exactTime(rowAt: RowAt, sequence: string): KnownTime | undefined {
  for (const slot of acknowledgedSlots) {
    const row = slot === olderSlot ? undefined : rowAt(slot);
    const found = row?.times.find(([each]) => each === sequence);
    if (row !== undefined && found !== undefined) return knownTime(row, found);
  }
  return undefined;
}

/** By when at the latest a signal was acknowledged of which it is known that it was; undefined where nothing is kept of it. */
export function latestTime(rowAt: RowAt, sequence: string): KnownTime | undefined {
  const row = rowAt(olderSlot) ?? nothingOlder;
  const found = row.times.find(([through]) => isAtOrBefore(sequence, through));
  return found && knownTime(row, found);
}

/** Whether a signal may have been a dead letter that had to go. */
export function mayBeLost(rowAt: RowAt, sequence: string): boolean {
  return isAtOrBefore(sequence, rowAt(olderSlot)?.lostThrough ?? "0");
}

const nothingOlder: AcknowledgedRow = { number: 0, baseMs: 0, times: [] };

/** The row begun last: rows are begun in the order of their places, round and round, so the search can halve what is left. */
function newestRow(rowAt: RowAt): AcknowledgedRow | undefined {
  const first = rowAt(1);
  if (first === undefined) return undefined;
  let [low, high] = [1, recentRows];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (rowAt(middle)?.number === first.number + middle - 1) low = middle;
    else high = middle - 1;
  }
  return rowAt(low);
}

function slotOf(number: number): number {
  return 1 + ((number - 1) % recentRows);
}

/** The older times with those of a row that leaves: both ascending, joined in one pass, and then fewer. */
function thinnedOut(older: AcknowledgedRow, leaving: AcknowledgedRow): AcknowledgedRow {
  const incoming = leaving.times.map((time) => [time[0], knownTime(leaving, time)] as const).sort(inOrder);
  const known = older.times.map((time) => [time[0], knownTime(older, time)] as const);
  let times: Stretch[] = [];
  let next = 0;
  for (const [through, time] of known) {
    let latest = time;
    for (let at = incoming[next]; at !== undefined && isAtOrBefore(at[0], through); at = incoming[++next]) {
      latest = latestOf(latest, at[1]);
    }
    times.push([through, latest]);
  }
  times.push(...incoming.slice(next));
  while (times.length > maxOlderTimes) times = halved(times);
  const baseMs = times[0]?.[1].acknowledgedMs ?? 0;
  return { ...older, baseMs, times: times.map(([through, time]) => rowTime(through, time, baseMs)) };
}

type Stretch = readonly [through: string, time: KnownTime];

/** Of the older half every second goes: what it said is then said by the one behind it, which is never too early. */
function halved(times: readonly Stretch[]): Stretch[] {
  const older = times.slice(0, times.length - maxOlderTimes / 2);
  const kept: Stretch[] = [];
  for (const [index, time] of older.entries()) {
    const before = older[index - 1];
    if (index % 2 === 1 && before !== undefined) kept.push([time[0], latestOf(before[1], time[1])]);
    else if (index === older.length - 1) kept.push(time);
  }
  return [...kept, ...times.slice(older.length)];
}

function latestOf(a: KnownTime, b: KnownTime): KnownTime {
  return {
    acknowledgedMs: Math.max(a.acknowledgedMs, b.acknowledgedMs),
    deliveredMs: Math.max(a.deliveredMs, b.deliveredMs),
  };
}

function rowTime(sequence: string, { acknowledgedMs, deliveredMs }: KnownTime, baseMs: number): RowTime {
  return [sequence, acknowledgedMs - baseMs, acknowledgedMs - deliveredMs];
}

function knownTime({ baseMs }: AcknowledgedRow, [, afterBaseMs, heldMs]: RowTime): KnownTime {
  const acknowledgedMs = baseMs + afterBaseMs;
  return { acknowledgedMs, deliveredMs: acknowledgedMs - heldMs };
}

function inOrder([a]: Stretch, [b]: Stretch): number {
  if (a === b) return 0;
  return isAtOrBefore(a, b) ? -1 : 1;
}

/** Compares decimals without leading zeros: the shorter is the less. */
function isAtOrBefore(sequence: string, other: string): boolean {
  return sequence.length === other.length ? sequence <= other : sequence.length < other.length;
}
