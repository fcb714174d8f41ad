import { CoordinationError } from "../model/coordination-error.js";
import { maxCommitSignals, maxQueuedOperations } from "../model/limits.js";
import type { QueuedOperation } from "./operation.js";
import type { SessionState } from "./session-state.js";

/** Operations that wait for one coordination, in the order in which they run. */
export type WaitingOperations = ReadonlyMap<SessionState, readonly QueuedOperation[]>;

/** What waits for each coordination's lock. */
export class OperationQueues {
  readonly #queues = new Map<SessionState, QueuedOperation[]>();

  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  /** Adds an operation to the end of its coordination's queue. Throws SEND_QUEUE_FULL when 10,000 wait there already. */
  add(session: SessionState, queued: QueuedOperation): void {
    const queue = this.#queues.get(session) ?? [];
    if (queue.length >= maxQueuedOperations) throw queueFull(session.coordinationId);
    queue.push(queued);
    this.#queues.set(session, queue);
  }

  /** Puts operations that were taken back to the front: nothing overtakes them. */
  putBack(session: SessionState, taken: readonly QueuedOperation[]): void {
    this.#queues.set(session, [...taken, ...(this.#queues.get(session) ?? [])]);
  }

  /** Takes what fits into one commit from every queue but those that are to be left alone. */
  take(isLeftAlone: (session: SessionState) => boolean): WaitingOperations {
    const taken = new Map<SessionState, QueuedOperation[]>();
    for (const [session, queue] of this.#queues) {
      if (isLeftAlone(session)) continue;
      taken.set(session, queue.splice(0, countForOneCommit(queue)));
      if (queue.length === 0) this.#queues.delete(session);
    }
    return taken;
  }
}

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
