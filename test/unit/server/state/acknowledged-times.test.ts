import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  type AcknowledgedRow,
  exactTime,
  latestTime,
  mayBeLost,
  withAcknowledged,
  withLost,
} from "../../../../server/src/state/acknowledged-times.js";

/** Rows as the journal would have them, and what was acknowledged in which order. */
class Times {
  readonly rows = new Map<number, AcknowledgedRow>();
  readonly acknowledged: (readonly [sequence: string, acknowledgedMs: number, deliveredMs: number])[] = [];

  readonly at = (slot: number): AcknowledgedRow | undefined => this.rows.get(slot);

  acknowledge(sequence: number, acknowledgedMs: number): void {
    const time = [String(sequence), acknowledgedMs, acknowledgedMs - 5] as const;
    const placed = withAcknowledged(this.at, time);
    expect(placed.length).toBeLessThanOrEqual(2);
    // As the journal hands it back.
    for (const { slot, row } of placed) this.rows.set(slot, JSON.parse(JSON.stringify(row)));
    this.acknowledged.push(time);
  }
}

describe("acknowledged times", () => {
  test("are exact for the last ones and never too early for the others, whatever the order, in rows of a bounded size", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 50 }),
        (count, moves) => {
          const times = new Times();
          const pending = Array.from({ length: count }, (_, index) => index + 1);
          for (let nowMs = 1_000; pending.length > 0; nowMs += 10) {
            // Mostly in order, as consumers acknowledge; some come much later.
            const at = (moves[nowMs % moves.length] ?? 0) % Math.min(pending.length, 40);
            const [sequence = 0] = pending.splice(at, 1);
            times.acknowledge(sequence, nowMs);
          }
          expect(times.rows.size).toBeLessThanOrEqual(9);
          for (const row of times.rows.values()) expect(row.times.length).toBeLessThanOrEqual(32);
          for (const [index, [sequence, acknowledgedMs, deliveredMs]] of times.acknowledged.entries()) {
            const exact = exactTime(times.at, sequence);
            if (index >= count - 224) expect(exact).toEqual({ acknowledgedMs, deliveredMs });
            const known = exact ?? latestTime(times.at, sequence);
            expect(known?.acknowledgedMs).toBeGreaterThanOrEqual(acknowledgedMs);
            expect(known?.deliveredMs).toBeGreaterThanOrEqual(deliveredMs);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("are not far off where signals are acknowledged in their order", () => {
    const times = new Times();
    for (let sequence = 1; sequence <= 2_000; sequence++) times.acknowledge(sequence, sequence);
    // Of the older ones more and more share a time, the younger ones among them hardly any.
    expect(latestTime(times.at, "1700")?.acknowledgedMs).toBeLessThanOrEqual(1_708);
    expect(latestTime(times.at, "1")?.acknowledgedMs).toBeLessThanOrEqual(2_000);
  });

  test("tell that a signal may have been a dead letter that had to go, and keep that as rows come and go", () => {
    const times = new Times();
    const { slot, row } = withLost(times.at, "7");
    times.rows.set(slot, row);
    const again = withLost(times.at, "3");
    times.rows.set(again.slot, again.row);
    for (let sequence = 8; sequence <= 1_000; sequence++) times.acknowledge(sequence, sequence);
    expect(["7", "8"].map((sequence) => mayBeLost(times.at, sequence))).toEqual([true, false]);
  });
});
