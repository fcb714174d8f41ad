import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import { DeadlockWatch } from "./deadlock-watch.js";
import type { OpenWait } from "./open-wait.js";
import { openWait } from "./wait-admission.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { waitOwnerLeaseMs } from "./wait-world.js";

interface SessionWaits {
  readonly session: SessionState;
  readonly waits: Map<string, OpenWait>;
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

  /** Has a wait looked after that is about to look at its conditions. */
  add(session: SessionState, wait: OpenWait): void {
    const known = this.#sessions.get(session);
    if (known !== undefined) {
      known.waits.set(wait.waitId, wait);
      return;
    }
    const waits = new Map([[wait.waitId, wait]]);
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
  remove(session: SessionState, wait: OpenWait): Promise<void> | undefined {
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

  /** Resolves when nothing is on its way. */
  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  #unshow(session: SessionState, { waitId, isBeingOpened }: OpenWait): Promise<void> | undefined {
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
          for (const { wait, isAdmitted } of waits.values()) {
            if (isAdmitted && draft.waits.get(wait.waitId) === undefined) openWait(draft, wait);
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
