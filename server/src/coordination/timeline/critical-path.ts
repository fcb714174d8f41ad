import { firstIndexNot } from "../../model/first-index.js";
import { isReply } from "../../model/is-reply.js";
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
  /** The last signal that ended a wait of its, and the wait. */
  ended: { readonly sequence: bigint; readonly waitId: string } | undefined;
}

interface SentSignal {
  readonly signalId: string;
  readonly senderAgentId: string;
  readonly sequence: bigint;
}

/** Finds the causes of signals, which have to be asked for in order. */
export class CauseFinder {
  readonly #trails = new Map<string, AgentTrail>();
  /** Looked up by the signals that come: what a wait's record names can have been rolled back, or be in another part. */
  readonly #waitsByEnd: ReadonlyMap<bigint, readonly TimelineWait[]>;
  readonly #bySignalId = new Map<string, SentSignal>();

  constructor(waits: readonly TimelineWait[]) {
    this.#waitsByEnd = waitsByEnd(waits);
  }

  /** The next signal's cause, and the signal that it replies to. */
  next({ signal, sequence }: LogEntry): Pick<TimelineSignal, "cause" | "replyTo"> {
    const { signalId, senderAgentId } = signal;
    const named = signal.correlationId === "" ? undefined : this.#bySignalId.get(signal.correlationId);
    const replyTo = named !== undefined && isReply(signal, named) ? named.sequence : undefined;
    const trail = this.#trailOf(senderAgentId);
    const cause = causeOf(trail, replyTo);
    this.#bySignalId.set(signalId, { signalId, senderAgentId, sequence });
    trail.own = sequence;
    for (const agentId of signal.recipientAgentIds) this.#trailOf(agentId).addressed = sequence;
    for (const { agentId, waitId } of this.#waitsByEnd.get(sequence) ?? []) {
      this.#trailOf(agentId).ended = { sequence, waitId };
    }
    return { cause, replyTo };
  }

  #trailOf(agentId: string): AgentTrail {
    const known = this.#trails.get(agentId);
    if (known !== undefined) return known;
    const trail = { own: undefined, addressed: undefined, ended: undefined };
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

function causeOf({ own, addressed, ended }: AgentTrail, replyTo: bigint | undefined): TimelineCause | undefined {
  const sequences = { work: own, message: addressed, reply: replyTo, wait: ended?.sequence };
  let cause: TimelineCause | undefined;
  for (const link of links) {
    const candidate = sequences[link];
    if (candidate === undefined || (cause !== undefined && candidate < cause.sequence)) continue;
    cause = { sequence: candidate, link, ...(link === "wait" && ended !== undefined && { waitId: ended.waitId }) };
  }
  return cause;
}

function waitsByEnd(waits: readonly TimelineWait[]): ReadonlyMap<bigint, readonly TimelineWait[]> {
  const bySequence = new Map<bigint, TimelineWait[]>();
  for (const wait of waits) {
    if (wait.endSequence === undefined) continue;
    const ended = bySequence.get(wait.endSequence) ?? [];
    ended.push(wait);
    bySequence.set(wait.endSequence, ended);
  }
  return bySequence;
}
