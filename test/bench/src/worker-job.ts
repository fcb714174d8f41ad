import type { Measurement } from "./modes/bench-mode.js";
import type { ModeName } from "./modes/mode-table.js";
import type { SystemName } from "./systems/system-table.js";

/** One measurement, done by a process of its own, so that none is touched by what another left behind. */
export interface WorkerJob {
  readonly mode: ModeName;
  readonly system: SystemName;
  readonly quick: boolean;
  /** Where processor profiles of servers that run on Node are written. */
  readonly profileDirectory?: string | undefined;
}

/** What a worker tells whoever started it. */
export type WorkerMessage =
  | { readonly kind: "serverStarted" | "serverStopped"; readonly pid: number }
  | { readonly kind: "measured"; readonly measurement: Measurement }
  | { readonly kind: "failed"; readonly reason: string };
