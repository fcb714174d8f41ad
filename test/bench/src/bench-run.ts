import type { Machine } from "./machine.js";
import type { Measurement } from "./modes/bench-mode.js";
import type { ModeName } from "./modes/mode-table.js";
import type { SystemName } from "./systems/system-table.js";

/** Everything one run of the bench has found. */
export interface BenchRun {
  readonly startTime: string;
  readonly durationSeconds: number;
  readonly quick: boolean;
  readonly repeat: number;
  readonly machine: Machine;
  /** Version of each system's server that was measured. */
  readonly versions: Readonly<Partial<Record<SystemName, string>>>;
  /** Why systems were not measured. */
  readonly skipped: Readonly<Partial<Record<SystemName, string>>>;
  readonly results: readonly BenchResult[];
  readonly failures: readonly BenchFailure[];
}

/** Which measurement. */
export interface MeasurementId {
  readonly mode: ModeName;
  readonly system: SystemName;
  /** From 1. */
  readonly repetition: number;
}

/** One measurement that was made. */
export interface BenchResult extends MeasurementId, Measurement {
  /** Load average of the last minute when it began: what else the machine was doing. */
  readonly loadBefore: number;
}

/** One that could not be made, or in which something was lost, doubled or reordered. */
export interface BenchFailure extends MeasurementId {
  readonly reason: string;
}
