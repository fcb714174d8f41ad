import { firstIndexNot } from "../../model/first-index.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { TimelineCause, TimelineSignal, TimelineWait } from "./timeline.js";

/*
 * A signal's cause is the latest of what its sender had to have before it could send it: the end of a wait, the request that it
 * replies to, a message addressed to the sender, its own signal before. All of them are signals, so the latest is the one with the
 * highest sequence, whatever the clocks of several servers say. One pass in order finds every cause; going back from the last
 * completion gives the critical path. Cost: constant for each signal.
 */

interface AgentTrail {
  /** Its own last signal. */
  own: bigint | undefined;
  /** The last signal that was addressed to it by name. */
  addressed: bigint | undefined;
  /** Signals that ended its waits, in order, and how many of them were passed. */
  readonly ends: readonly { readonly sequence: bigint; readonly waitId: string }[];
  passed: number;
}

/** Finds the causes of signals, which have to be asked for in order. */
export class CauseFinder {
  readonly #trails = new Map<string, AgentTrail>();
  readonly #endsByAgent: ReadonlyMap<string, AgentTrail["ends"]>;
  readonly #bySignalId = new Map<string, bigint>();

  constructor(waits: readonly TimelineWait[]) {
    this.#endsByAgent = endsByAgent(waits);
  }

  /** The next signal's cause, and the signal that it replies to. */
  next({ signal, sequence }: LogEntry): Pick<TimelineSignal, "cause" | "replyTo"> {
    const replyTo = signal.correlationId === "" ? undefined : this.#bySignalId.get(signal.correlationId);
    const trail = this.#trailOf(signal.senderAgentId);
    const cause = causeOf(trail, sequence, replyTo);
    this.#bySignalId.set(signal.signalId, sequence);
    trail.own = sequence;
    for (const agentId of signal.recipientAgentIds) this.#trailOf(agentId).addressed = sequence;
    return { cause, replyTo };
  }

  #trailOf(agentId: string): AgentTrail {
    const known = this.#trails.get(agentId);
    if (known !== undefined) return known;
    const ends = this.#endsByAgent.get(agentId) ?? [];
    const trail = { own: undefined, addressed: undefined, ends, passed: 0 };
    this.#trails.set(agentId, trail);
    return trail;
  }
}

/** The chain of causes that leads to the last completion, or to the last signal where nobody completed; in order. */
export function criticalPathOf(
  signals: readonly TimelineSignal[],
  lastCompletion: TimelineSignal | undefined,
): readonly TimelineSignal[] {
  const path: TimelineSignal[] = [];
  let next = lastCompletion ?? signals.at(-1);
  while (next !== undefined) {
    path.push(next);
    next = next.cause && signalAt(signals, next.cause.sequence);
  }
  return path.reverse();
}

/** The signal with a sequence, of signals in order. */
export function signalAt(signals: readonly TimelineSignal[], sequence: bigint): TimelineSignal | undefined {
  const found = signals[firstIndexNot(signals.length, (index) => (signals[index]?.sequence ?? sequence) < sequence)];
  return found?.sequence === sequence ? found : undefined;
}

/** Of one signal in several roles, the one that says most. */
const links = ["work", "message", "reply", "wait"] as const satisfies readonly TimelineCause["link"][];

function causeOf(trail: AgentTrail, sequence: bigint, replyTo: bigint | undefined): TimelineCause | undefined {
  let end = trail.ends[trail.passed];
  while (end !== undefined && end.sequence < sequence) {
    trail.passed += 1;
    end = trail.ends[trail.passed];
  }
  const ended = trail.ends[trail.passed - 1];
  const sequences = { work: trail.own, message: trail.addressed, reply: replyTo, wait: ended?.sequence };
  let cause: TimelineCause | undefined;
  for (const link of links) {
    const candidate = sequences[link];
    if (candidate === undefined || (cause !== undefined && candidate < cause.sequence)) continue;
    cause = { sequence: candidate, link, ...(link === "wait" && ended !== undefined && { waitId: ended.waitId }) };
  }
  return cause;
}

function endsByAgent(waits: readonly TimelineWait[]): ReadonlyMap<string, AgentTrail["ends"]> {
  const ends = new Map<string, { sequence: bigint; waitId: string }[]>();
  for (const { agentId, waitId, endSequence } of waits) {
    if (endSequence === undefined) continue;
    const own = ends.get(agentId) ?? [];
    own.push({ sequence: endSequence, waitId });
    ends.set(agentId, own);
  }
  for (const own of ends.values()) own.sort((a, b) => (a.sequence < b.sequence ? -1 : 1));
  return ends;
}
