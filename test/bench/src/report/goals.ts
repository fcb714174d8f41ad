import type { ModeName } from "../modes/mode-table.js";
import type { SystemName } from "../systems/system-table.js";
import type { RunSummary } from "./run-summary.js";

/** What the server is meant to reach: a figure against a bound, most often as a multiple of another one of the run. */
export interface Goal {
  readonly text: string;
  /** The figure, as a multiple of `of` where there is one. */
  readonly measured: number;
  readonly bound: number;
  readonly direction: "at least" | "at most";
  readonly isMet: boolean;
}

interface Figure {
  readonly mode: ModeName;
  readonly system: SystemName;
  readonly figure: string;
}

interface GoalDefinition extends Pick<Goal, "text" | "bound" | "direction"> {
  readonly figure: Figure;
  readonly of?: Figure;
  /** What the machine allows, measured in the same run: the bound is never above it. */
  readonly limit?: Figure;
}

const storeNames = {
  coordination: "LMDB",
  "coordination-memory": "memory",
  "coordination-postgres": "PostgreSQL",
} as const;

const definitions: readonly GoalDefinition[] = [
  ...rate("one2one", "deliveriesPerSecond", [
    ["coordination", 1, "redis", "1 → 1, LMDB, times Redis Streams"],
    ["coordination", 4, "jetstream", "1 → 1, LMDB, times JetStream"],
    ["coordination-memory", 1.5, "redis", "1 → 1, memory, times Redis Streams"],
  ]),
  atLeast(
    "1 → 1, LMDB, times the store's own batches",
    0.8,
    at("one2one", "coordination", "deliveriesPerSecond"),
    at("store", "coordination", "batchedPerSecond"),
  ),
  ...(["fan16", "fan100"] as const).flatMap((mode) => {
    const name = mode === "fan16" ? "1 → 16" : "1 → 100";
    return rate(mode, "deliveriesPerSecond", [
      ["coordination", 1, "redis", `${name}, LMDB, times Redis Streams`],
      ["coordination-memory", 1, "nats", `${name}, memory, times NATS core`],
      ["coordination-memory", 0.85, "http2", `${name}, memory, times bare node:http2`],
    ]);
  }),
  ...rate("await64", "sendsPerSecond", [
    ["coordination", 2, "jetstream", "64 awaiting, LMDB, times JetStream"],
    ["coordination-memory", 1, "redis", "64 awaiting, memory, times Redis Streams"],
  ]),
  atMost(
    "latency p50, LMDB, times one durable write",
    1.5,
    at("latency", "coordination", "p50Ms"),
    at("store", "coordination", "writeP50Ms"),
  ),
  atMost(
    "latency p50, memory, times Redis Streams",
    1.5,
    at("latency", "coordination-memory", "p50Ms"),
    at("latency", "redis", "p50Ms"),
  ),
  ...(["coordination", "coordination-memory"] as const).map((system) =>
    atMost(
      `last 10,000, ${storeOf(system)}, times Redis Streams`,
      1,
      at("last10k", system, "readMs"),
      at("last10k", "redis", "readMs"),
    ),
  ),
  ...rate("unary64", "callsPerSecond", [
    ["coordination", 1 / 1.3, "coordination-memory", "plain SendSignal, LMDB, times memory"],
    ["coordination-memory", 0.85, "http2", "plain SendSignal, memory, times bare node:http2"],
    ["coordination-memory", 1, "grpc-js", "plain SendSignal, memory, times grpc-js"],
  ]),
  atMost(
    "idle subscription, times a bare stream's memory",
    1.75,
    at("idle10k", "coordination-memory", "rssKb"),
    at("idle10k", "http2", "rssKb"),
  ),
  atMost(
    "directed signal beside all idle subscriptions, times beside ten",
    1.1,
    at("idle10k", "coordination-memory", "directedAllP50Ms"),
    at("idle10k", "coordination-memory", "directedFewP50Ms"),
  ),
  ...(["coordination", "coordination-memory"] as const).flatMap((system) => [
    atMost(`last 1,000 of 100,000 sends, ${storeOf(system)}, times the first`, 1.1, at("growth100k", system, "ratio")),
    atMost(`history page of 100, ${storeOf(system)}, ms`, 2, at("growth100k", system, "pageMs")),
    atLeast(`1,000 coordinations, ${storeOf(system)}, times one`, 0.8, at("many1000", system, "ratio")),
  ]),
  {
    ...atLeast("64 awaiting, PostgreSQL, sends/s", 17_000, at("await64", "coordination-postgres", "sendsPerSecond")),
    limit: at("store", "coordination-postgres", "databasePerSecond"),
  },
  ...(["coordination", "coordination-memory", "coordination-postgres"] as const).flatMap((system) => {
    const name = "woken beside 1,000 open waits, p99 from";
    return [
      atMost(`${name} the call that resolves, ${storeOf(system)}, ms`, 5, at("waits1000", system, "wakeP99Ms")),
      atMost(`${name} its answer, ${storeOf(system)}, ms`, 5, at("waits1000", system, "afterSendP99Ms")),
    ];
  }),
  atMost("one stored send, LMDB, ms", 2, at("targets", "coordination", "sendMs")),
  atMost("100 signals in bulk, LMDB, ms", 310, at("targets", "coordination", "bulkMs")),
  atMost("propagation p99, LMDB, ms", 100, at("targets", "coordination", "propagationP99Ms")),
  atMost("metrics per signal, µs", 1_000, at("targets", "coordination", "metricsMicroseconds")),
];

/** The goals for which everything was measured. */
export function goalsOf(summary: RunSummary): readonly Goal[] {
  return definitions.flatMap((definition) => {
    const value = medianOf(summary, definition.figure);
    const base = definition.of === undefined ? 1 : medianOf(summary, definition.of);
    if (value === undefined || base === undefined) return [];
    const limit = definition.limit === undefined ? undefined : medianOf(summary, definition.limit);
    const { text, direction } = definition;
    const bound = Math.min(definition.bound, limit ?? Number.POSITIVE_INFINITY);
    const measured = value / base;
    return [
      { text, bound, direction, measured, isMet: direction === "at least" ? measured >= bound : measured <= bound },
    ];
  });
}

function medianOf(summary: RunSummary, { mode, system, figure }: Figure): number | undefined {
  return summary.median(mode, system, figure);
}

type RateGoal = readonly [system: SystemName, bound: number, than: SystemName, text: string];

function rate(mode: ModeName, figure: string, goals: readonly RateGoal[]): readonly GoalDefinition[] {
  return goals.map(([system, bound, than, text]) =>
    atLeast(text, bound, at(mode, system, figure), at(mode, than, figure)),
  );
}

function at(mode: ModeName, system: SystemName, figure: string): Figure {
  return { mode, system, figure };
}

function atLeast(text: string, bound: number, figure: Figure, of?: Figure): GoalDefinition {
  return { text, bound, direction: "at least", figure, ...(of && { of }) };
}

function atMost(text: string, bound: number, figure: Figure, of?: Figure): GoalDefinition {
  return { text, bound, direction: "at most", figure, ...(of && { of }) };
}

function storeOf(system: keyof typeof storeNames): string {
  return storeNames[system];
}
