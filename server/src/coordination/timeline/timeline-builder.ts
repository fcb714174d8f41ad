import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import type { LogEntry } from "../../model/log-entry.js";
import { signalTypeOfEvent } from "../../model/signal-type.js";
import { CauseFinder, criticalPathOf, signalAt } from "./critical-path.js";
import { IdleGapFinder, joinedSpans, totalMs } from "./idle-gaps.js";
import { signalSummary } from "./signal-summary.js";
import type { Timeline, TimelineEdge, TimelineLane, TimelineSignal, TimelineWait, TimeSpan } from "./timeline.js";

/** What a timeline is made of beside its signals. */
export interface TimelineSources {
  /** The oldest first. */
  readonly waits: readonly TimelineWait[];
  /** The registered agents, and since when. */
  readonly registered: ReadonlyMap<string, number>;
  /** The agents that were expected to meet a condition; undefined where nobody was named. */
  readonly expected: (condition: TimelineWait["conditions"][number]) => readonly string[] | undefined;
  /** The shortest idle gap. */
  readonly leastIdleMs: number;
  /** When it ends, with whatever signal last. */
  readonly horizonMs: (lastSignalMs: number | undefined) => number;
}

interface AgentSignals {
  readonly timesMs: number[];
  lastType: SignalType;
}

const maxListedRecipients = 16;

/** Makes a timeline of signals that are given in order, one by one: that is the only pass over them. */
export class TimelineBuilder {
  readonly #sources: TimelineSources;
  readonly #causes: CauseFinder;
  readonly #signals: TimelineSignal[] = [];
  readonly #byAgent = new Map<string, AgentSignals>();
  #lastCompletion: TimelineSignal | undefined;

  constructor(sources: TimelineSources) {
    this.#sources = sources;
    this.#causes = new CauseFinder(sources.waits);
  }

  /** Takes the next signal, as the server hands it out. */
  add(entry: LogEntry): void {
    const { signal, sequence } = entry;
    const type = signalTypeOfEvent(signal.event);
    const added: TimelineSignal = {
      sequence,
      agentId: signal.senderAgentId,
      timeMs: signal.timestamp === undefined ? 0 : timestampMs(signal.timestamp),
      type,
      summary: signalSummary(signal),
      recipientAgentIds: signal.recipientAgentIds.slice(0, maxListedRecipients),
      ...this.#causes.next(entry),
    };
    this.#signals.push(added);
    if (type === SignalType.AGENT_COMPLETED) this.#lastCompletion = added;
    const own = this.#byAgent.get(added.agentId) ?? { timesMs: [], lastType: type };
    own.timesMs.push(added.timeMs);
    own.lastType = type;
    this.#byAgent.set(added.agentId, own);
  }

  build(): Timeline {
    const signals = this.#signals;
    const endMs = this.#sources.horizonMs(signals.at(-1)?.timeMs);
    const waits = this.#sources.waits.filter(({ startTimeMs }) => startTimeMs <= endMs);
    const lanes = this.#lanes(waits, endMs);
    return {
      startMs: Math.min(endMs, ...lanes.slice(0, 1).map((lane) => lane.startMs)),
      endMs,
      lanes,
      signals,
      waits,
      edges: this.#edges(waits),
      criticalPath: criticalPathOf(signals, this.#lastCompletion),
    };
  }

  #lanes(waits: readonly TimelineWait[], endMs: number): readonly TimelineLane[] {
    const spans = new Map<string, TimeSpan[]>();
    for (const { agentId, startTimeMs, endTimeMs } of waits) {
      const own = spans.get(agentId) ?? [];
      own.push({ startMs: startTimeMs, endMs: Math.min(endTimeMs ?? endMs, endMs) });
      spans.set(agentId, own);
    }
    const names = new Set([...this.#sources.registered.keys(), ...spans.keys(), ...this.#byAgent.keys()]);
    const lanes = Array.from(names, (agentId) => this.#lane(agentId, joinedSpans(spans.get(agentId) ?? []), endMs));
    return lanes.sort((a, b) => a.startMs - b.startMs || (a.agentId < b.agentId ? -1 : 1));
  }

  #lane(agentId: string, waits: readonly TimeSpan[], endMs: number): TimelineLane {
    const own = this.#byAgent.get(agentId);
    const timesMs = own?.timesMs ?? [];
    const firstMs = [this.#sources.registered.get(agentId), waits[0]?.startMs, timesMs[0], endMs];
    const startMs = Math.min(...firstMs.filter((timeMs) => timeMs !== undefined));
    const hasCompleted = own?.lastType === SignalType.AGENT_COMPLETED;
    const lastMs = Math.max(timesMs.at(-1) ?? startMs, waits.at(-1)?.endMs ?? startMs);
    const laneEndMs = hasCompleted ? lastMs : endMs;
    const idle = new IdleGapFinder(waits, startMs, this.#sources.leastIdleMs);
    for (const timeMs of timesMs) idle.heard(timeMs);
    idle.heard(laneEndMs);
    return {
      agentId,
      startMs,
      endMs: laneEndMs,
      signalCount: timesMs.length,
      idleGaps: idle.gaps,
      idleMs: idle.idleMs,
      waitingMs: totalMs(waits),
    };
  }

  #edges(waits: readonly TimelineWait[]): readonly TimelineEdge[] {
    return waits.flatMap((wait) =>
      wait.conditions.flatMap((condition, conditionIndex) => {
        const sequence = wait.sequences.get(conditionIndex);
        const sender = sequence === undefined ? undefined : signalAt(this.#signals, sequence)?.agentId;
        const toAgentIds = sender === undefined ? (this.#sources.expected(condition) ?? []) : [sender];
        return toAgentIds.map((toAgentId) => ({
          fromAgentId: wait.agentId,
          toAgentId,
          waitId: wait.waitId,
          conditionIndex,
          sequence,
          isDecisive: sequence !== undefined && sequence === wait.endSequence,
        }));
      }),
    );
  }
}
