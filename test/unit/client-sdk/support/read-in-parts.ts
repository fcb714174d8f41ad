import type { CoordinationObserver } from "../../../../client-sdk/src/index.js";

/** Reads a log from its beginning; breaks off after each of these counts of signals, and goes on by the cursor. */
export async function readInParts(
  observer: CoordinationObserver,
  counts: readonly number[],
  order: "sequence" | "priority" = "sequence",
): Promise<readonly number[]> {
  const sequences: number[] = [];
  let cursor: string | undefined;
  for (const count of [...counts, Number.POSITIVE_INFINITY]) {
    const subscription = observer.subscribe({ order, from: cursor === undefined ? "earliest" : { cursor } });
    const until = sequences.length + count;
    for await (const { sequence } of subscription) {
      sequences.push(Number(sequence));
      if (sequences.length >= until) break;
    }
    cursor = subscription.cursor ?? cursor;
  }
  return sequences;
}
