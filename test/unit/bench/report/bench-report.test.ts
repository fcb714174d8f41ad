import { describe, expect, test } from "@jest/globals";
import type { BenchRun } from "../../../bench/src/bench-run.js";
import { goalsOf } from "../../../bench/src/report/goals.js";
import { renderMarkdown } from "../../../bench/src/report/markdown-report.js";
import { RunSummary } from "../../../bench/src/report/run-summary.js";
import { renderChart } from "../../../bench/src/report/svg-chart.js";

function runOf(overrides: Partial<BenchRun> = {}): BenchRun {
  return {
    startTime: "2026-01-02T03:04:05.000Z",
    durationSeconds: 60,
    quick: false,
    repeat: 3,
    machine: { processor: "A & B", cores: 2, memoryGb: 24, system: "Debian", node: "20.20.2" },
    versions: { coordination: "0.1.0", redis: "7.0.15" },
    skipped: { etcd: "etcd is not installed" },
    results: [
      ...[90_000, 120_000, 100_000].map((rate, index) => one2one("coordination", index + 1, rate)),
      ...[50_000, 40_000, 45_000].map((rate, index) => one2one("redis", index + 1, rate)),
    ],
    failures: [],
    ...overrides,
  };
}

function one2one(system: "coordination" | "redis", repetition: number, deliveriesPerSecond: number) {
  return {
    mode: "one2one",
    system,
    repetition,
    values: { deliveriesPerSecond },
    usage: { clientCpuSeconds: 2, serverCpuSeconds: 1, serverRssMb: 80 },
    checkedDeliveries: 1_000,
    loadBefore: 1.5,
  } as const;
}

describe("renderMarkdown", () => {
  test("shows medians with their ends, and who is compared", () => {
    const markdown = renderMarkdown(runOf());
    expect(markdown).toContain("|  | Coordination, LMDB | Redis Streams |");
    expect(markdown).toContain("100,000 (90,000 to 120,000) | 45,000 (40,000 to 50,000)");
  });

  test("says what was skipped and what was checked", () => {
    const markdown = renderMarkdown(runOf());
    expect(markdown).toContain("`etcd` was skipped: etcd is not installed.");
    expect(markdown).toContain("6,000 deliveries checked, 0 measurements failed");
  });

  test("names what failed", () => {
    const failure = { mode: "fan16", system: "redis", repetition: 2, reason: "message 3 was lost\nat once" } as const;
    expect(renderMarkdown(runOf({ failures: [failure] }))).toContain(
      "- fan16 redis, repetition 2: message 3 was lost\n",
    );
  });

  test("has no table of what was not measured", () => {
    expect(renderMarkdown(runOf({ results: [] }))).not.toContain("## Beside");
  });
});

describe("goalsOf", () => {
  test("compares figures of one run, and only those it has", () => {
    const goals = goalsOf(new RunSummary(runOf()));
    expect(goals).toEqual([
      {
        text: "1 → 1, LMDB, times Redis Streams",
        measured: 100_000 / 45_000,
        bound: 1,
        direction: "at least",
        isMet: true,
      },
    ]);
  });

  test.each([
    ["what its database can do", 9_000, 9_000],
    ["no more than is asked for", 60_000, 17_000],
  ])("asks of PostgreSQL %s", (_, databasePerSecond, bound) => {
    const result = (mode: string, values: Record<string, number>) => ({
      mode,
      system: "coordination-postgres",
      repetition: 1,
      values,
      checkedDeliveries: 0,
      loadBefore: 0,
    });
    const results = [result("await64", { sendsPerSecond: 8_000 }), result("store", { databasePerSecond })];
    const [goal] = goalsOf(new RunSummary(runOf({ results: results as BenchRun["results"] })));
    expect(goal).toMatchObject({ text: "64 awaiting, PostgreSQL, sends/s", measured: 8_000, bound, isMet: false });
  });
});

describe("renderChart", () => {
  test("draws a bar for each system and escapes what the machine is called", () => {
    const svg = renderChart(runOf());
    expect(svg.match(/<rect /g)).toHaveLength(3);
    expect(svg).toContain("A &amp; B");
    expect(svg).toContain(">100,000</text>");
  });
});
