import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import type { LogEntry } from "../model/log-entry.js";
import type { ReadingRecord, StretchRecord } from "../state/agent-reading.js";
import { concerns } from "../state/reader-index.js";
import { failedFilterPart } from "./filter-part.js";

/** What one subscription made of a signal. */
export type DeliveryVerdict =
  | { readonly is: "delivered"; readonly timeMs: number | undefined }
  | { readonly is: "notYet" | "beforeStart" | "ownSignal" | "notAddressed" }
  | { readonly is: "filtered"; readonly part: string };

/** A subscription, or a chain of resumed ones, and what it made of a signal. */
export interface StretchVerdict {
  readonly stretch: StretchRecord;
  readonly verdict: DeliveryVerdict;
}

/** A signal as it is stored, which decides for whom it is, and as the server hands it out, which filters are asked about. */
export interface JudgedSignal {
  readonly stored: LogEntry;
  readonly handedOut: LogEntry;
}

/**
 * Judges what became of one signal at agents' subscriptions. It is asked for many agents, most of which have the same filter: each
 * filter is compiled and asked once.
 */
export class DeliveryJudge {
  readonly #signal: JudgedSignal;
  readonly #expressions: FilterExpressionCompiler;
  readonly #failedParts = new Map<string, string | undefined>();

  constructor(signal: JudgedSignal, expressions: FilterExpressionCompiler) {
    this.#signal = signal;
    this.#expressions = expressions;
  }

  /** What each subscription of an agent made of it. Throws FILTER_BUDGET_EXCEEDED. */
  verdicts(agentId: string, readings: readonly ReadingRecord[]): readonly StretchVerdict[] {
    return readings.flatMap(({ stretches, directed }) =>
      stretches.map((stretch) => ({ stretch, verdict: this.#verdict(agentId, stretch, directed) })),
    );
  }

  /** By when it was handed to an agent; undefined when it was not, as far as is known. */
  deliveredMs(agentId: string, readings: readonly ReadingRecord[]): number | undefined {
    const exact = readings.flatMap(({ directed }) => this.#directedMs(directed) ?? []);
    if (exact.length > 0) return Math.min(...exact);
    const times = this.verdicts(agentId, readings).flatMap(({ verdict }) =>
      verdict.is === "delivered" ? (verdict.timeMs ?? []) : [],
    );
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #verdict(agentId: string, stretch: StretchRecord, directed: ReadingRecord["directed"]): DeliveryVerdict {
    const { stored } = this.#signal;
    const { filter, includeOwn } = stretch;
    if (!concerns({ agentId, includeOwn, typeMask: 0 }, stored)) {
      return { is: stored.signal.senderAgentId === agentId ? "ownSignal" : "notAddressed" };
    }
    if (stored.sequence <= BigInt(stretch.after)) return { is: "beforeStart" };
    const part = filter === undefined ? undefined : this.#failedPart(filter);
    if (part !== undefined) return { is: "filtered", part };
    // Where signals are read by their priority, one can be handed over before others that came earlier.
    const isAhead = stretch.ahead?.includes(String(stored.sequence)) ?? false;
    if (!isAhead && stored.sequence > BigInt(stretch.through)) return { is: "notYet" };
    return { is: "delivered", timeMs: this.#directedMs(directed) ?? this.#passedMs(stretch) };
  }

  #directedMs(directed: ReadingRecord["directed"]): number | undefined {
    const sequence = String(this.#signal.stored.sequence);
    return directed.find(([each]) => each === sequence)?.[1];
  }

  #passedMs({ times }: StretchRecord): number | undefined {
    const { sequence } = this.#signal.stored;
    return times.find(([through]) => BigInt(through) >= sequence)?.[1];
  }

  #failedPart(filter: string): string | undefined {
    if (!this.#failedParts.has(filter)) {
      this.#failedParts.set(filter, failedFilterPart(filter, this.#signal.handedOut, this.#expressions));
    }
    return this.#failedParts.get(filter);
  }
}
