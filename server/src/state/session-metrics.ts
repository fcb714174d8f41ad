import { LatencyHistogram, type LatencyHistogramJson } from "../metrics/latency-histogram.js";
import { signalTypeSlots } from "../model/signal-type.js";

/** Agents that received counts are kept for by name; subscribing needs no registration, so their number has to be bounded here. */
const maxReceivingAgents = 10_000;

interface SessionMetricsJson {
  readonly received: readonly (readonly [agentId: string, counts: readonly number[]])[];
  /** Missing where it was written before there was more than what agents received. */
  readonly receivedByType?: readonly number[];
  readonly propagation: LatencyHistogramJson;
}

/**
 * What a coordination's subscribers were handed, and how fast. Kept in memory and written now and then: the last seconds
 * before a crash may be missing, which counters of signals sent never are.
 */
export class SessionMetrics {
  readonly #received = new Map<string, Float64Array>();
  readonly #receivedByType = new Float64Array(signalTypeSlots);
  #propagation = new LatencyHistogram();
  #isDirty = false;

  /** Whether something was counted since `markWritten`. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  get propagation(): LatencyHistogram {
    return this.#propagation;
  }

  /** Signals handed over, per receiving agent and indexed by type; of the first 10,000 agents. */
  get received(): ReadonlyMap<string, Float64Array> {
    return this.#received;
  }

  /** Signals handed over, to whomever, indexed by type. */
  get receivedByType(): Float64Array {
    return this.#receivedByType;
  }

  /** Counts signals of one type handed to one subscription; the propagation of each in milliseconds, where it was measured. */
  count(agentId: string, type: number, signals: number, propagationMs: number | undefined): void {
    if (propagationMs !== undefined) this.#propagation.record(propagationMs, signals);
    this.#isDirty = true;
    addTo(this.#receivedByType, type, signals);
    const counts = this.#countsOf(agentId);
    if (counts !== undefined) addTo(counts, type, signals);
  }

  #countsOf(agentId: string): Float64Array | undefined {
    const known = this.#received.get(agentId);
    if (known !== undefined || this.#received.size >= maxReceivingAgents) return known;
    const counts = new Float64Array(signalTypeSlots);
    this.#received.set(agentId, counts);
    return counts;
  }

  markWritten(): void {
    this.#isDirty = false;
  }

  /** What `markWritten` was said of was not written after all. */
  markUnwritten(): void {
    this.#isDirty = true;
  }

  encode(): Uint8Array {
    const json: SessionMetricsJson = {
      received: [...this.#received].map(([agentId, counts]) => [agentId, [...counts]]),
      receivedByType: [...this.#receivedByType],
      propagation: this.#propagation.toJSON(),
    };
    return Buffer.from(JSON.stringify(json));
  }

  restore(bytes: Uint8Array): void {
    const json: SessionMetricsJson = JSON.parse(Buffer.from(bytes).toString());
    for (const [agentId, counts] of json.received) this.#received.set(agentId, Float64Array.from(counts));
    const byType = json.receivedByType === undefined ? [...this.#received.values()] : [json.receivedByType];
    for (const counts of byType) {
      for (const [type, count] of counts.entries()) addTo(this.#receivedByType, type, count);
    }
    this.#propagation = LatencyHistogram.fromJSON(json.propagation);
  }
}

function addTo(counts: Float64Array, type: number, count: number): void {
  counts[type] = (counts[type] ?? 0) + count;
}
