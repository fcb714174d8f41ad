/** A stretch of time that is drawn as a bar. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The row, from 0, that each span is drawn in, so that none overlaps another one of its row: the first one whose last span has ended
 * by its start.
 */
export function rowsOfSpans(spans: readonly Span[]): readonly number[] {
  const rowEndsMs: number[] = [];
  return spans.map(({ startMs, endMs }) => {
    const free = rowEndsMs.findIndex((rowEndMs) => rowEndMs <= startMs);
    const row = free === -1 ? rowEndsMs.length : free;
    rowEndsMs[row] = endMs;
    return row;
  });
}
