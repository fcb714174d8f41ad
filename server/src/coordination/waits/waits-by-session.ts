import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { DeadlockWatch } from "./deadlock-watch.js";
import { openWait } from "./wait-admission.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { waitOwnerLeaseMs } from "./wait-world.js";

/** A wait of this server, as far as others see it. */
export interface ShownWait {
  readonly waitId: string;
  /** What others should see of it now; undefined while they should see nothing. */
  readonly shown: WaitRecord | undefined;
  /** Whether others may see it as open. */
  readonly isShownOpen: boolean;
  /** Whether it is on its way to be opened under the lock: then what is done with it has to follow. */
  readonly isBeingOpened: boolean;
  /** Ends it because it is the youngest of a loop that has formed. */
  breakLoop(error: Error): void;
}

interface SessionWaits {
  readonly session: SessionState;
  readonly waits: Map<string, ShownWait>;
  readonly watch: DeadlockWatch;
}

const heartbeatIntervalMs = waitOwnerLeaseMs / 4;

/** The waits of this server by their coordinations, and what others are told of them. */
export class WaitsBySession {
  readonly #environment: WaitEnvironment;
  readonly #sessions = new Map<SessionState, SessionWaits>();
  /** Waits that have ended but are still told to be open, because the store did not take their end. */
  readonly #leftovers = new Map<string, Set<string>>();
  readonly #background = new Set<Promise<void>>();
  readonly #heartbeat: NodeJS.Timeout | undefined;

  constructor(environment: WaitEnvironment) {
    this.#environment = environment;
    if (!environment.isShared) return;
    this.#heartbeat = setInterval(() => this.#run(this.#beat()), heartbeatIntervalMs);
    this.#heartbeat.unref();
  }

  /** Has a wait looked after that is about to be shown, until `remove`. */
  add(session: SessionState, wait: ShownWait): void {
    const known = this.#sessions.get(session);
    if (known !== undefined) {
      known.waits.set(wait.waitId, wait);
      return;
    }
    const waits = new Map<string, ShownWait>([[wait.waitId, wait]]);
    const watch = new DeadlockWatch({
      environment: this.#environment,
      session,
      onLoop: ({ waitId }, error) => waits.get(waitId)?.breakLoop(error),
    });
    this.#sessions.set(session, { session, waits, watch });
  }

  /**
   * Lets go of a wait that has ended, and has it shown to nobody any more. Resolves when that is so, or the store has not taken it,
   * which is tried again; undefined where it is so at once.
   */
  remove(session: SessionState, wait: ShownWait): Promise<void> | undefined {
    const known = this.#sessions.get(session);
    if (known === undefined) return undefined;
    known.waits.delete(wait.waitId);
    const unshown = wait.isShownOpen ? this.#unshow(session, wait) : undefined;
    if (known.waits.size === 0) {
      this.#sessions.delete(session);
      this.#run(known.watch.close());
    }
    return unshown;
  }

  /** Has a wait looked after for as long as something takes, which has to end when the server stops. */
  async during<T>(session: SessionState, wait: ShownWait, run: () => Promise<T>): Promise<T> {
    this.add(session, wait);
    const outcome = run().finally(() => void this.remove(session, wait));
    void this.#run(Promise.allSettled([outcome]).then(() => undefined));
    return outcome;
  }

  /** Resolves when nothing is on its way. */
  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  #unshow(session: SessionState, { waitId, isBeingOpened }: ShownWait): Promise<void> | undefined {
    // What is being opened is there only when those who open it are done, and so is whatever others have to be told.
    if (isBeingOpened || this.#environment.isShared) return this.#run(this.#remove(session.coordinationId, [waitId]));
    session.closeWait(waitId);
    return undefined;
  }

  async #remove(coordinationId: string, waitIds: readonly string[]): Promise<void> {
    const { directory, owner, onBackgroundError, isShared } = this.#environment;
    try {
      await directory.execute(
        coordinationId,
        plainOperation((draft) => {
          for (const waitId of waitIds) draft.waits.remove(waitId);
          for (const wait of draft.waits.all()) if (wait.owner === owner) return;
          draft.waits.putOwner(owner, undefined);
        }),
      );
      this.#leftovers.delete(coordinationId);
    } catch (error) {
      onBackgroundError(error);
      if (!isShared) return;
      const left = this.#leftovers.get(coordinationId) ?? new Set();
      for (const waitId of waitIds) left.add(waitId);
      this.#leftovers.set(coordinationId, left);
    }
  }

  /** Says that this server is there, and puts right what others see of its waits. */
  async #beat(): Promise<void> {
    for (const [coordinationId, waitIds] of [...this.#leftovers]) await this.#remove(coordinationId, [...waitIds]);
    await Promise.all(Array.from(this.#sessions.values(), (waits) => this.#renew(waits)));
  }

  async #renew({ session, waits }: SessionWaits): Promise<void> {
    const { directory, owner, onBackgroundError } = this.#environment;
    try {
      await directory.execute(
        session.coordinationId,
        plainOperation((draft) => {
          if (draft.header === undefined) return;
          for (const { shown } of waits.values()) {
            if (shown !== undefined && draft.waits.get(shown.waitId) === undefined) openWait(draft, shown);
          }
          draft.waits.putOwner(owner, draft.nowMs);
        }),
      );
    } catch (error) {
      onBackgroundError(error);
    }
  }

  #run(work: Promise<void>): Promise<void> {
    const tracked = work.finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
    return tracked;
  }
}
