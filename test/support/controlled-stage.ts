import { setImmediate } from "node:timers/promises";
import type fc from "fast-check";
import type { LogEntry } from "../../server/src/model/log-entry.js";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import type {
  CommitOutcome,
  CommitPart,
  CoordinationHeader,
  JournalRange,
  JournalRecord,
  LogRange,
  SignalStore,
  StoredCoordination,
} from "../../server/src/store/signal-store.js";
import { CoordinatorUnderTest } from "./coordinator-under-test.js";
import { LogViolation } from "./log-violation.js";
import type { Stage, StageControl } from "./random-interleaving.js";

// What is left after so many turns of the event loop in which nothing came waits for something that never comes.
const turnsToRest = 12;

/**
 * A stage on which a scheduler decides what happens next. Whatever the store is asked waits twice, before it is done and
 * before the answer arrives; so everything else can happen before, between and after. The store outlasts the server.
 */
export function openControlledStage(scheduler: fc.Scheduler, retentionSignals: number): Stage {
  const store = new ScheduledStore(scheduler);
  const control = new SchedulerControl(scheduler, store);
  const start = () => new CoordinatorUnderTest({ retentionSignals, recipientValidation: "off", store });
  let current = start();
  return {
    control,
    get current() {
      return current;
    },
    restart: async () => {
      await current.dispose();
      current = start();
    },
    [Symbol.asyncDispose]: () => control.until(current.dispose()),
  };
}

class SchedulerControl implements StageControl {
  readonly #scheduler: fc.Scheduler;
  readonly #store: ScheduledStore;

  constructor(scheduler: fc.Scheduler, store: ScheduledStore) {
    this.#scheduler = scheduler;
    this.#store = store;
  }

  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count && this.#scheduler.count() > 0; turn++) await this.#scheduler.waitOne();
    await setImmediate();
  }

  async rest(): Promise<void> {
    for (let idleTurns = 0; idleTurns < turnsToRest; idleTurns++) {
      if (this.#scheduler.count() > 0) {
        idleTurns = 0;
        await this.#scheduler.waitOne();
      }
      await setImmediate();
    }
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    // Handled below: it may fail long before that.
    done.catch(() => undefined);
    for (let idleTurns = 0; !isDone; idleTurns++) {
      if (idleTurns === turnsToRest) throw new LogViolation("lost", "something waits for ever that nothing can end");
      if (this.#scheduler.count() > 0) {
        idleTurns = 0;
        await this.#scheduler.waitOne();
      }
      await setImmediate();
    }
    return await done;
  }

  shown(epoch: string, sequence: bigint): void {
    if (this.#store.hasAnswered(epoch, sequence)) return;
    throw new LogViolation("shown before durable", `signal ${sequence} was shown before the store had answered`);
  }
}

/** A store in memory that asks a scheduler before it does anything, and again before it answers. */
class ScheduledStore implements SignalStore {
  readonly url = "memory:";
  readonly isDurable = true;
  readonly failureIsFatal = true;
  readonly shared = undefined;
  readonly #inner = new MemorySignalStore();
  readonly #scheduler: fc.Scheduler;
  readonly #answered = new Set<string>();

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Whether whoever stored a signal was told that it is. */
  hasAnswered(epoch: string, sequence: bigint): boolean {
    return this.#answered.has(`${epoch} ${sequence}`);
  }

  async commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    const outcomes = await this.#scheduled("commit", () => this.#inner.commit(parts));
    for (const part of parts) {
      if (part.action === "remove") continue;
      for (const { sequence } of part.entries) this.#answered.add(`${part.header.epoch} ${sequence}`);
    }
    return outcomes;
  }

  load(coordinationId: string): Promise<StoredCoordination | undefined> {
    return this.#scheduled("load", () => this.#inner.load(coordinationId));
  }

  readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    return this.#scheduled("readJournal", () => this.#inner.readJournal(range));
  }

  readForward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#scheduled("readForward", () => this.#inner.readForward(range));
  }

  readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#scheduled("readBackward", () => this.#inner.readBackward(range));
  }

  findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    return this.#scheduled("findRequests", () => this.#inner.findRequests(coordinationId, epoch, keys));
  }

  list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    return this.#scheduled("list", () => this.#inner.list(afterId, limit));
  }

  count(): number {
    return this.#inner.count();
  }

  /** Outlasts the server: nothing to release. */
  async close(): Promise<void> {}

  async #scheduled<T>(what: string, run: () => Promise<T>): Promise<T> {
    await this.#scheduler.schedule(Promise.resolve(), what);
    const answer = await run();
    await this.#scheduler.schedule(Promise.resolve(), `${what} answers`);
    return answer;
  }
}
