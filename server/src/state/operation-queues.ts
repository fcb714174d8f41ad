import { CoordinationError } from "../model/coordination-error.js";
import { maxCommitSignals, maxQueuedOperations } from "../model/limits.js";
import type { QueuedOperation } from "./operation.js";
import type { SessionState } from "./session-state.js";

/** Operations of one coordination, in the order in which they run. */
export interface WaitingOperations {
  readonly session: SessionState;
  readonly queued: readonly QueuedOperation[];
}

/** What waits for each coordination's lock. */
export class OperationQueues {
  readonly #queues = new Map<SessionState, QueuedOperation[]>();

  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  /** Adds an operation to the end of its coordination's queue. Throws SEND_QUEUE_FULL when 10,000 wait there already. */
  add(session: SessionState, queued: QueuedOperation): void {
    const queue = this.#queues.get(session);
    if (queue === undefined) this.#queues.set(session, [queued]);
    else if (queue.length >= maxQueuedOperations) throw queueFull(session.coordinationId);
    else queue.push(queued);
  }

  /** Puts operations that were taken back to the front: nothing overtakes them. */
  putBack(session: SessionState, taken: readonly QueuedOperation[]): void {
    this.#queues.set(session, [...taken, ...(this.#queues.get(session) ?? [])]);
  }

  /** Takes what fits into one commit from every queue but those that are to be left alone. */
  take(isLeftAlone: (session: SessionState) => boolean): readonly WaitingOperations[] {
    if (this.isEmpty) return none;
    const taken: WaitingOperations[] = [];
    for (const [session, queue] of this.#queues) {
      if (isLeftAlone(session)) continue;
      const count = countForOneCommit(queue);
      // Nearly always all of them, and then the queue itself is taken.
      if (count === queue.length) this.#queues.delete(session);
      taken.push({ session, queued: count === queue.length ? queue : queue.splice(0, count) });
    }
    return taken;
  }
}

const none: readonly WaitingOperations[] = [];

function countForOneCommit(queue: readonly QueuedOperation[]): number {
  let signals = 0;
  let count = 0;
  for (const { operation } of queue) {
    if (count > 0 && (operation.runsAlone || signals >= maxCommitSignals)) break;
    signals += operation.signalCount;
    count += 1;
    if (operation.runsAlone) break;
  }
  return count;
}

function queueFull(coordinationId: string): CoordinationError {
  return new CoordinationError(
    "SEND_QUEUE_FULL",
    `${maxQueuedOperations} operations wait for coordination "${coordinationId}" already`,
    { retryDelayMs: 100 },
  );
}
