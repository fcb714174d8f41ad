import { describe, expect, test } from "@jest/globals";
import { AgentReading } from "../../../../server/src/state/agent-reading.js";
import { Readings } from "../../../../server/src/state/readings.js";

const wish = { filter: "", includeOwn: false, startSequence: 0n, isResumed: false };

/** The stretches of a record, as ranges. */
function rangesOf(reading: AgentReading): string[] {
  return reading.toRecord().stretches.map(({ after, through }) => `${after}-${through}`);
}

describe("AgentReading", () => {
  test("goes on with a stretch where a subscription resumes that asks for the same", () => {
    const reading = new AgentReading();
    const first = reading.open(wish, 1);
    first.delivered(10n, [], 5);
    first.close();
    const within = reading.open({ ...wish, startSequence: 7n }, 6);
    within.delivered(12n, [], 7);
    within.close();
    reading.open({ ...wish, startSequence: 20n, isResumed: true }, 8).close();
    expect(rangesOf(reading)).toEqual(["0-20"]);
    expect(reading.toRecord().stretches[0]?.times).toEqual([
      ["10", 5],
      ["12", 7],
      ["20", 8],
    ]);
  });

  test("begins another one for what asks for something else, jumps ahead or is open already", () => {
    const reading = new AgentReading();
    reading.open(wish, 1).delivered(10n, [], 5);
    reading.open({ ...wish, startSequence: 5n }, 1);
    reading.open({ ...wish, filter: "CAE=", startSequence: 5n }, 1);
    reading.open({ ...wish, includeOwn: true, startSequence: 5n }, 1).close();
    reading.open({ ...wish, includeOwn: true, startSequence: 9n }, 1);
    expect(rangesOf(reading)).toEqual(["0-10", "5-5", "5-5", "5-5", "9-9"]);
  });

  test("keeps sixteen stretches, of the closed ones the last", () => {
    const reading = new AgentReading();
    reading.open({ ...wish, startSequence: 1n }, 1);
    for (let start = 2n; start <= 40n; start += 2n) reading.open({ ...wish, startSequence: start }, 1).close();
    const ranges = rangesOf(reading);
    expect(ranges).toHaveLength(16);
    expect(ranges[0]).toBe("1-1");
    expect(ranges.at(-1)).toBe("40-40");
  });

  test("knows what was handed over ahead of the rest, also after a restart, until the rest has come", () => {
    const before = new AgentReading();
    before.open(wish, 1).delivered(2n, [1n, 7n, 9n], 5);
    expect(before.toRecord().stretches[0]?.ahead).toEqual(["7", "9"]);
    const reading = new AgentReading(before.toRecord());
    const resumed = reading.open({ ...wish, startSequence: 2n, isResumed: true }, 6);
    resumed.delivered(8n, [], 7);
    expect(reading.toRecord().stretches[0]?.ahead).toEqual(["9"]);
    resumed.delivered(9n, [], 8);
    expect(reading.toRecord().stretches[0]).not.toHaveProperty("ahead");
  });

  test("thins out its times and never tells one too early", () => {
    const reading = new AgentReading();
    const open = reading.open(wish, 0);
    for (let sequence = 1n; sequence <= 1_000n; sequence++) open.delivered(sequence, [], Number(sequence));
    const times = reading.toRecord().stretches[0]?.times ?? [];
    expect(times.length).toBeLessThanOrEqual(32);
    expect(times.at(-1)).toEqual(["1000", 1_000]);
    for (const [index, [sequence, timeMs]] of times.entries()) {
      expect(timeMs).toBe(Number(sequence));
      if (index > 0) expect(Number(sequence)).toBeGreaterThan(Number(times[index - 1]?.[0]));
    }
  });

  test("keeps the times of the last signals that name the agent, and all of it in its record", () => {
    const reading = new AgentReading();
    const open = reading.open(wish, 0);
    for (let sequence = 1n; sequence <= 600n; sequence++) open.delivered(sequence, [sequence], Number(sequence));
    const record = reading.toRecord();
    expect(record.directed.length).toBeLessThanOrEqual(512);
    expect(record.directed.at(-1)).toEqual(["600", 600]);
    expect(new AgentReading(JSON.parse(JSON.stringify(record))).toRecord()).toEqual(record);
  });
});

describe("Readings", () => {
  test("writes what changed, a thousand agents at a time, and takes over what others wrote", () => {
    const readings = new Readings();
    for (let agent = 0; agent < 1_500; agent++) readings.open(`a/${agent}`, wish, 1)?.delivered(3n, [3n], 2);
    const written = [...readings.takeChanges("0"), ...readings.takeChanges("0")];
    expect(written).toHaveLength(1_500);
    expect(readings.isDirty).toBe(false);
    const other = new Readings();
    for (const { key, value } of written) other.restore(key, value ?? new Uint8Array(), "1");
    expect(other.of("a/7")).toEqual(readings.of("a/7"));
    other.open("a/7", wish, 1);
    expect(other.of("a/7")).toHaveLength(2);
    other.forgetForeign();
    expect(other.of("a/7")).toHaveLength(1);
  });

  test("goes on with what it wrote itself before a restart, and writes everything again under another key", () => {
    const readings = new Readings();
    readings.open("a", wish, 1)?.delivered(3n, [], 2);
    const [change] = readings.takeChanges("0");
    const again = new Readings();
    again.restore(change?.key ?? "", change?.value ?? new Uint8Array(), "0");
    expect(again.isDirty).toBe(false);
    again.open("a", { ...wish, startSequence: 3n }, 5)?.delivered(4n, [], 6);
    expect(again.of("a")).toMatchObject([{ stretches: [{ after: "0", through: "4" }] }]);
    again.takeChanges("0");
    again.markAllUnwritten();
    expect(again.takeChanges("2").map(({ key }) => key)).toEqual(["reading/2/a"]);
    again.clear();
    expect(again.of("a")).toEqual([]);
  });

  test("keeps nothing of one agent too many", () => {
    const readings = new Readings();
    for (let agent = 0; agent < 10_000; agent++) readings.open(`${agent}`, wish, 1);
    expect(readings.open("one more", wish, 1)).toBeUndefined();
    expect(readings.open("7", wish, 1)).toBeDefined();
  });
});
