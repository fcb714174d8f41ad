import type { Clock } from "../model/clock.js";
import { LogEntry } from "../model/log-entry.js";
import type { ForeignChanges, SharedStore } from "../store/signal-store.js";
import type { SessionState } from "./session-state.js";

/** Coordinations that another server may have changed: they are read again before anything is decided about them. */
export class StaleSessions {
  readonly #shared: SharedStore | undefined;
  readonly #clock: Clock;
  readonly #stale = new WeakSet<SessionState>();

  constructor(shared: SharedStore | undefined, clock: Clock) {
    this.#shared = shared;
    this.#clock = clock;
  }

  add(session: SessionState): void {
    if (this.#shared !== undefined) this.#stale.add(session);
  }

  has(session: SessionState): boolean {
    return this.#stale.has(session);
  }

  /** Brings coordinations up to date, under their locks; answers those in which something had changed. */
  async refresh(sessions: readonly SessionState[]): Promise<ReadonlySet<SessionState>> {
    const shared = this.#shared;
    const changed = new Set<SessionState>();
    if (shared === undefined) return changed;
    await Promise.all(
      sessions.map(async (session) => {
        // Before the store is read: what is marked from here on asks for another look.
        this.#stale.delete(session);
        try {
          const changes = await shared.changesSince(session.known);
          if (changes === undefined) return;
          this.apply(session, changes);
          changed.add(session);
        } catch (error) {
          this.#stale.add(session);
          throw error;
        }
      }),
    );
    return changed;
  }

  /** Takes over changes that were read under the coordination's lock. */
  apply(session: SessionState, changes: ForeignChanges): void {
    const ages = { nowMs: this.#clock.nowMs(), monotonicMs: this.#clock.monotonicMs() };
    session.applyForeign({ ...changes, entries: changes.entries?.map((entry) => withAcceptance(entry, ages)) });
  }
}

/** When another server accepted it, on this one's monotonic clock: as near as the two servers' wall clocks agree. */
function withAcceptance(entry: LogEntry, now: { readonly nowMs: number; readonly monotonicMs: number }): LogEntry {
  const { sequence, bytes, requestKey, signal } = entry;
  const ageMs = Math.max(0, now.nowMs - entry.timestampMs);
  return new LogEntry({ sequence, bytes, requestKey, signal, acceptedAtMs: now.monotonicMs - ageMs });
}
