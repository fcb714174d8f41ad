import type { BenchSystem } from "../systems/bench-system.js";
import type { SystemName } from "../systems/system-table.js";
import { awaitMode } from "./await-mode.js";
import type { BenchMode } from "./bench-mode.js";
import { growthMode } from "./growth-mode.js";
import { idleMode } from "./idle-mode.js";
import { latencyMode } from "./latency-mode.js";
import { manyMode } from "./many-mode.js";
import { readBackMode } from "./read-back-mode.js";
import { recoveryMode } from "./recovery-mode.js";
import { storeMode } from "./store-mode.js";
import { streamMode } from "./stream-mode.js";
import { targetMode } from "./target-mode.js";
import { unaryMode } from "./unary-mode.js";
import { waitsMode } from "./waits-mode.js";

/** Every kind of work, by the name that `--modes` takes, in the order of the tables. */
export const modeTable = {
  one2one: streamMode(1),
  fan16: streamMode(16),
  fan100: streamMode(100),
  await64: awaitMode,
  latency: latencyMode,
  last10k: readBackMode,
  unary64: unaryMode,
  idle10k: idleMode,
  growth100k: growthMode,
  many1000: manyMode,
  waits1000: waitsMode,
  store: storeMode,
  recovery: recoveryMode,
  targets: targetMode,
} as const satisfies Readonly<Record<string, BenchMode>>;

export type ModeName = keyof typeof modeTable;

/** Modes that only some systems can do; the others are for all. */
const systemsOf: Readonly<Partial<Record<ModeName, readonly SystemName[]>>> = {
  unary64: ["coordination", "coordination-memory", "coordination-postgres", "http2", "grpc-js", "connect"],
  idle10k: ["coordination", "coordination-memory", "http2"],
  growth100k: ["coordination", "coordination-memory", "coordination-postgres"],
  many1000: ["coordination", "coordination-memory", "coordination-postgres"],
  store: ["coordination", "coordination-postgres"],
  recovery: ["coordination"],
  targets: ["coordination", "coordination-memory", "coordination-postgres"],
};

/** Whether a system does a kind of work. */
export function canMeasure(mode: ModeName, name: SystemName, system: BenchSystem): boolean {
  if (mode === "last10k") return system.keepsLog;
  return systemsOf[mode]?.includes(name) ?? true;
}
