import type { SignalCoordinatorOptions } from "../../server/src/signal-coordinator.js";
import { openPostgresStore } from "../../server/src/store/postgres/open-postgres-store.js";
import { CoordinatorUnderTest } from "./coordinator-under-test.js";

/** Coordinators on one database, as if each were a server of its own. */
export interface ReplicasUnderTest extends AsyncDisposable {
  readonly replicas: readonly CoordinatorUnderTest[];
  /** One of them; throws when there are not so many. */
  at(index: number): CoordinatorUnderTest;
}

/** Opens coordinators on a database. Disposing of them fails when one of them has complained of anything fatal. */
export async function openReplicas(
  url: string,
  count: number,
  options: Partial<SignalCoordinatorOptions> = {},
): Promise<ReplicasUnderTest> {
  const replicas: CoordinatorUnderTest[] = [];
  for (let index = 0; index < count; index++) {
    const store = await openPostgresStore({ url, onWarning: () => undefined });
    replicas.push(new CoordinatorUnderTest({ ...options, store }));
  }
  return {
    replicas,
    at: (index) => {
      const replica = replicas[index];
      if (replica === undefined) throw new Error(`there is no replica ${index}`);
      return replica;
    },
    [Symbol.asyncDispose]: async () => {
      for (const replica of replicas) await replica.dispose();
      const fatals = replicas.flatMap((replica) => replica.fatals);
      if (fatals.length > 0) throw fatals[0];
    },
  };
}
