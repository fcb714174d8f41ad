import { coordinationNotFound } from "../registry/agent-registry.js";
import type { Operation } from "../state/operation.js";
import type { SessionState } from "../state/session-state.js";
import type { CoordinationHeader, SignalStore } from "../store/signal-store.js";

/** Describes a coordination's state in bytes, under its lock. The header is as of the snapshot. */
export interface SnapshotMaker {
  /** Unique, and later ones sort after earlier ones. */
  readonly snapshotId: string;
  /** Who asks; empty where nobody says. */
  readonly requestedBy: string;
  readonly label: string;
  readonly make: (session: SessionState, header: CoordinationHeader, nowMs: number) => Uint8Array;
}

/** Snapshots a coordination keeps; with one more the oldest goes. */
const maxSnapshots = 100;

/** The snapshots that have to go before one more is made. */
export async function expiredSnapshots(
  store: SignalStore,
  header: CoordinationHeader | undefined,
): Promise<readonly string[]> {
  if (header === undefined) return [];
  const { coordinationId, epoch } = header;
  const kept = await store.readJournal({
    coordinationId,
    epoch,
    kind: "snapshot",
    descending: true,
    limit: maxSnapshots,
  });
  const oldest = kept[maxSnapshots - 1];
  return oldest === undefined ? [] : [oldest.key];
}

/** Keeps the state as it is now, as bytes that `make` makes of it; answers them. Throws COORDINATION_NOT_FOUND. */
export function snapshotOperation(
  session: SessionState,
  { snapshotId, requestedBy, label, make }: SnapshotMaker,
  expired: readonly string[],
): Operation<Uint8Array> {
  return {
    requestKeys: [],
    signalCount: 0,
    // Alone, so that the state in memory is the state that the header speaks of.
    runsAlone: true,
    run: (draft) => {
      if (draft.header === undefined) throw coordinationNotFound(draft.coordinationId);
      const actors = requestedBy === "" ? [] : [requestedBy];
      const header = draft.changeHeader({}, { kind: "snapshotCreated", actors, detail: label });
      const value = make(session, header, draft.nowMs);
      draft.putRecord({ kind: "snapshot", key: snapshotId, value });
      for (const key of expired) draft.putRecord({ kind: "snapshot", key, value: undefined });
      return value;
    },
  };
}
