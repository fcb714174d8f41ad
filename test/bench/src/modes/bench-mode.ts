import type { Usage } from "../load/resource-usage.js";
import type { ServerProcess } from "../servers/server-process.js";
import type { BenchSystem, StartOptions } from "../systems/bench-system.js";
import type { Scale } from "./scale.js";

/** What a measurement needs from its surroundings. */
export interface ModeContext {
  readonly system: BenchSystem;
  readonly scale: Scale;
  /** Starts the system's server. Whoever starts it disposes of it. */
  startServer(options?: StartOptions): Promise<ServerProcess>;
}

/** What one measurement found. */
export interface Measurement {
  /** By the names of the mode's figures. */
  readonly values: Readonly<Record<string, number>>;
  /** What it cost; undefined where no part of the run stands for the whole. */
  readonly usage?: Usage | undefined;
  /** Deliveries whose number and order were checked. */
  readonly checkedDeliveries: number;
}

/** One figure of a mode. */
export interface Figure {
  readonly label: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** Decimals to show. */
  readonly decimals: number;
}

/** One kind of work. */
export interface BenchMode {
  readonly title: string;
  /** What is measured, for people to read. */
  readonly description: string;
  /** The first is what systems are compared by. */
  readonly figures: Readonly<Record<string, Figure>>;
  readonly run: (context: ModeContext) => Promise<Measurement>;
}
