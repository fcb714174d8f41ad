import type { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import type { WaitOutcome } from "../../state/ended-wait.js";
import type { WaitConditionRecord } from "../../state/wait-record.js";

/** A signal of a timeline, as far as people want to know it. */
export interface TimelineSignal {
  readonly sequence: bigint;
  readonly agentId: string;
  readonly timeMs: number;
  readonly type: SignalType;
  readonly summary: string;
  readonly recipientAgentIds: readonly string[];
  /** The signal that it replies to; undefined when it replies to none in the timeline. */
  readonly replyTo: bigint | undefined;
  /** What came before it on the way to it; undefined when nothing is known that did. */
  readonly cause: TimelineCause | undefined;
}

/** What a signal had to wait for, and what of it came last. */
export interface TimelineCause {
  readonly sequence: bigint;
  readonly link: "work" | "wait" | "reply" | "message";
  /** The wait that the cause ended; undefined unless the link is "wait". */
  readonly waitId?: string;
}

/** A wait that is open or has ended. Times are on the wall clock, in milliseconds. */
export interface TimelineWait {
  readonly waitId: string;
  readonly agentId: string;
  readonly conditions: readonly WaitConditionRecord[];
  readonly conditionCount: number;
  readonly needed: number;
  readonly independent: boolean;
  readonly startTimeMs: number;
  /** Undefined while it is open. */
  readonly endTimeMs: number | undefined;
  /** Undefined while it is open. */
  readonly outcome: WaitOutcome | undefined;
  /** The signals that met conditions, by the conditions' places; without those that were rolled back. */
  readonly sequences: ReadonlyMap<number, bigint>;
  /** The signal that ended it; undefined when none did, or it was rolled back. */
  readonly endSequence: bigint | undefined;
}

/** A stretch of time, in milliseconds on the wall clock. */
export interface TimeSpan {
  readonly startMs: number;
  readonly endMs: number;
}

/** One agent's part. */
export interface TimelineLane extends TimeSpan {
  readonly agentId: string;
  readonly signalCount: number;
  /** The longest ones, in order. */
  readonly idleGaps: readonly TimeSpan[];
  readonly idleMs: number;
  readonly waitingMs: number;
}

/** One agent waited for another. */
export interface TimelineEdge {
  readonly fromAgentId: string;
  readonly toAgentId: string;
  readonly waitId: string;
  readonly conditionIndex: number;
  readonly sequence: bigint | undefined;
  readonly isDecisive: boolean;
}

/** What happened, by agents. */
export interface Timeline extends TimeSpan {
  /** By the first thing known of each. */
  readonly lanes: readonly TimelineLane[];
  /** In order. */
  readonly signals: readonly TimelineSignal[];
  /** The oldest first. */
  readonly waits: readonly TimelineWait[];
  readonly edges: readonly TimelineEdge[];
  /** In order. */
  readonly criticalPath: readonly TimelineSignal[];
}
