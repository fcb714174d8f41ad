import type { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { Counter, type Registry } from "prom-client";
import { signalTypeName, signalTypeSlots, signalTypes } from "../model/signal-type.js";

/**
 * A Prometheus counter with the label `signal_type`, whose values are the type names without prefix, for example
 * `AGENT_COMPLETED`. Counting is one addition to an array; prom-client sees the totals when it is scraped.
 */
export class SignalTypeCounter {
  readonly #totals = new Float64Array(signalTypeSlots);

  constructor(name: string, help: string, registry: Registry) {
    const totals = this.#totals;
    new Counter({
      name,
      help,
      labelNames: ["signal_type"],
      registers: [registry],
      collect() {
        this.reset();
        for (const type of signalTypes) {
          this.inc({ signal_type: signalTypeName(type) }, totals[type] ?? 0);
        }
      },
    });
  }

  /** Adds to the total of one type. */
  add(type: SignalType, count: number): void {
    this.#totals[type] = (this.#totals[type] ?? 0) + count;
  }
}
