import type { CoordinationError } from "../../model/coordination-error.js";
import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { EvidenceGatherer } from "./signal-evidence.js";
import { breakLoop, youngestInLoops } from "./wait-admission.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { nextLeaseEndMs } from "./wait-leases.js";
import { worldOfSession } from "./wait-world.js";

/*
 * A loop that a new wait would close is refused when it begins. Others form later: the only agent that could have ended a wait
 * goes offline, completes or registers anew. Then the youngest wait of the loop ends, by the server that holds its call. Looking
 * is due when something changed that decides who can act, and when a lease runs out on which it depends.
 */

/** What the watch of one coordination works with. */
export interface DeadlockWatchOptions {
  readonly environment: WaitEnvironment;
  readonly session: SessionState;
  /** Ends a wait whose call this server holds. */
  readonly onLoop: (wait: WaitRecord, error: CoordinationError) => void;
}

// Many waits that begin and end one after the other are looked at together.
const leastPauseMs = 50;
// Looking at very many waits that could hold each other up takes a while: at most so small a share of the time.
const pausePerLook = 20;
const maxTimeoutMs = 2 ** 31 - 1;
const maxAttempts = 8;

/** Ends waits of one coordination that are part of a loop which has formed since they began. */
export class DeadlockWatch {
  readonly #options: DeadlockWatchOptions;
  readonly #unwatch: () => void;
  readonly #departure = { aborted: false };
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #pauseMs = leastPauseMs;
  #looking: Promise<void> | undefined;

  constructor(options: DeadlockWatchOptions) {
    this.#options = options;
    this.#unwatch = options.session.parkedWaits.watchBlocking(() => this.#lookIn(this.#pauseMs));
  }

  /** Starts nothing new; resolves when nothing is on its way. */
  async close(): Promise<void> {
    this.#unwatch();
    this.#departure.aborted = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #lookIn(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (this.#departure.aborted || dueMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => this.#startLook(), Math.min(delayMs, maxTimeoutMs));
    this.#timer.unref();
  }

  #startLook(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (this.#looking !== undefined) {
      this.#lookIn(this.#pauseMs);
      return;
    }
    this.#looking = this.#look()
      .catch((error: unknown) => {
        this.#options.environment.onBackgroundError(error);
        this.#lookIn(this.#pauseMs);
      })
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #look(): Promise<void> {
    const { owner, clock } = this.#options.environment;
    const startMs = clock.monotonicMs();
    const world = worldOfSession(this.#options.session, { owner, nowMs: clock.nowMs() });
    const youngest = youngestInLoops(world);
    const leaseEndMs = nextLeaseEndMs(world);
    this.#pauseMs = Math.max(leastPauseMs, pausePerLook * (clock.monotonicMs() - startMs));
    for (const wait of youngest) if (wait.owner === owner) await this.#end(wait);
    if (leaseEndMs !== undefined) this.#lookIn(Math.max(this.#pauseMs, leaseEndMs + 1 - clock.nowMs()));
  }

  async #end(wait: WaitRecord): Promise<void> {
    const { environment, session, onLoop } = this.#options;
    const gatherer = new EvidenceGatherer(environment, session);
    for (let attempt = 1; attempt <= maxAttempts && !this.#departure.aborted; attempt++) {
      const result = await environment.directory.execute(
        session.coordinationId,
        plainOperation((draft) => breakLoop(draft, wait, gatherer.evidence)),
      );
      if (result.is === "broken") onLoop(wait, result.error);
      if (result.is !== "doubtful") return;
      await gatherer.gather(result.unsure, this.#departure);
    }
  }
}
