import { prepareSignal } from "../../../server/src/model/prepare-signals.js";
import { openLmdbStore } from "../../../server/src/store/lmdb/lmdb-signal-store.js";
import { CoordinatorUnderTest } from "../../support/coordinator-under-test.js";
import { copyAsKilled } from "../../support/copy-as-killed.js";
import { plannedMessage } from "../journal/planned-signal.js";

/** The coordinations of the store, and how many signals each was ever sent. */
export const variedCoordinations = { plain: 700, "rolled-back": 160, trimmed: 700, small: 3, deleted: 40 } as const;
export type VariedCoordination = keyof typeof variedCoordinations;

const generousRetention = 100_000;
const scarceRetention = 200;
/** So few that these short logs have rows of requests, and some signals behind them. */
const requestsPerRow = 40;
/** Signals of a coordination that are sent at once. */
const batchSignals = 25;
/** Signals that are sent by themselves in the end. */
const loneSignals = 20;

/** Opens the coordinator that a store is built and inspected with. */
export async function openVariedStore(directory: string, retentionSignals = generousRetention) {
  const store = await openLmdbStore({ directory, requestsPerRow });
  return new CoordinatorUnderTest({ store, retentionSignals, recipientValidation: "off", senderValidation: "off" });
}

/**
 * Makes a store with rows of every kind: what was sent, registered, kept, rolled back, trimmed and removed; and copies it as a kill
 * leaves it, with commits that are in the write-ahead log only.
 */
export async function buildVariedStore(directory: string, killed: string): Promise<void> {
  {
    await using subject = await openVariedStore(directory);
    const { coordinator } = subject;
    for (const coordinationId of ["deleted", "plain", "rolled-back", "small"] as const)
      await sendAll(subject, coordinationId);
    for (const agentId of ["parser", "generator", "runner"]) {
      const registration = { agentId, capabilities: ["x"], provides: [], metadata: {}, leaseMs: 60_000 };
      await coordinator.agents.register("plain", registration);
    }
    for (const snapshotId of ["1", "2"]) {
      const make = () => Buffer.from(snapshotId.repeat(500));
      await coordinator.createSnapshot("plain", { snapshotId, requestedBy: "", label: "a test", make });
    }
    await coordinator.rollBack("rolled-back", { toSequence: 100n, reason: "a test", requestedBy: "" });
    await sendAll(subject, "rolled-back");
    await coordinator.closeCoordination("small", "done");
    await coordinator.deleteCoordination("deleted");
  }
  {
    await using subject = await openVariedStore(directory, scarceRetention);
    await sendAll(subject, "trimmed");
  }
  await using subject = await openVariedStore(directory);
  for (let lone = 0; lone < loneSignals; lone += 1) await subject.fill(1, { coordinationId: "rolled-back" });
  copyAsKilled(directory, killed);
}

/** Sends all of a coordination's signals that it does not know yet. */
export async function sendAll(subject: CoordinatorUnderTest, coordinationId: VariedCoordination): Promise<void> {
  for (let first = 0; first < variedCoordinations[coordinationId]; first += batchSignals) {
    const count = Math.min(batchSignals, variedCoordinations[coordinationId] - first);
    const planned = Array.from({ length: count }, (_, index) => ({ writer: 0, ordinal: first + index }));
    const signals = planned.map((each) => prepareSignal(plannedMessage(coordinationId, each)));
    for (const { error } of await subject.coordinator.sendEach(signals)) if (error !== undefined) throw error;
  }
}
