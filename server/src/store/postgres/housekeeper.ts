import { setTimeout } from "node:timers/promises";
import type { PostgresConnections, Statement } from "./postgres-connections.js";
import { schemaName } from "./postgres-schema.js";
import { countStatement } from "./read-statements.js";

/*
 * What has to be done now and then and by any one of the servers: sweeping the rows of removed coordinations, forgetting what
 * journal records were removed, counting. Every step is bounded, waits for nobody's locks and leaves a row alone that another
 * server is at work on.
 */

const intervalMs = 5_000;
/** Steps one round may take, so that what waits is not all done in one go. */
const maxSteps = 50;
const rowsPerStep = 1_000;
/** After this time every server has seen that a record was removed, or reads all records again. */
const removalMemory = "10 minutes";

/** Deletes rows of one removed coordination; answers how many, and -1 when there is none left to sweep. */
const sweepStatement: Statement = {
  name: "sweep",
  text: `
WITH swept AS (
  SELECT ordinal FROM ${schemaName}.garbage ORDER BY ordinal LIMIT 1 FOR UPDATE SKIP LOCKED
), signals AS (
  DELETE FROM ${schemaName}.signals s USING (
    SELECT e.ordinal, e.sequence FROM ${schemaName}.signals e JOIN swept USING (ordinal) ORDER BY e.sequence LIMIT ${rowsPerStep}
  ) old WHERE s.ordinal = old.ordinal AND s.sequence = old.sequence RETURNING 1
), records AS (
  DELETE FROM ${schemaName}.journal j USING (
    SELECT r.ordinal, r.kind, r.key FROM ${schemaName}.journal r JOIN swept USING (ordinal) LIMIT ${rowsPerStep}
  ) old WHERE j.ordinal = old.ordinal AND j.kind = old.kind AND j.key = old.key RETURNING 1
), finished AS (
  DELETE FROM ${schemaName}.garbage g USING swept WHERE g.ordinal = swept.ordinal
    AND NOT EXISTS (SELECT FROM signals) AND NOT EXISTS (SELECT FROM records)
)
SELECT CASE WHEN EXISTS (SELECT FROM swept) THEN (SELECT count(*) FROM signals) + (SELECT count(*) FROM records) ELSE -1 END AS rows`,
};

/** Forgets removals of records, and notes up to which commit; answers how many. */
const forgetStatement: Statement = {
  name: "forget_removals",
  text: `
WITH held AS (
  SELECT ordinal FROM ${schemaName}.coordinations WHERE ordinal = ANY(ARRAY(
    SELECT ordinal FROM ${schemaName}.journal WHERE remove_time < now() - interval '${removalMemory}'
    ORDER BY remove_time LIMIT ${rowsPerStep}
  )) FOR UPDATE SKIP LOCKED
), old AS (
  DELETE FROM ${schemaName}.journal j USING held
  WHERE j.ordinal = held.ordinal AND j.remove_time < now() - interval '${removalMemory}' RETURNING j.ordinal, j.commits
), noted AS (
  UPDATE ${schemaName}.coordinations c
  SET removals_forgotten_through = greatest(removals_forgotten_through, o.commits), record_count = record_count - o.rows
  FROM (SELECT ordinal, max(commits) AS commits, count(*) AS rows FROM old GROUP BY ordinal) o WHERE c.ordinal = o.ordinal
)
SELECT count(*) AS rows FROM old`,
};

/** Does in the background what nobody waits for. */
export class Housekeeper {
  readonly #connections: PostgresConnections;
  readonly #onCounted: (coordinations: number) => void;
  readonly #closed = new AbortController();
  readonly #working: Promise<void>;

  constructor(connections: PostgresConnections, onCounted: (coordinations: number) => void) {
    this.#connections = connections;
    this.#onCounted = onCounted;
    this.#working = this.#work();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      // Not all servers at the same time.
      const pauseMs = intervalMs * (0.5 + Math.random());
      await setTimeout(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await this.#round().catch(() => undefined);
    }
  }

  /** What fails is tried again in the next round; that the database is away is told by others. */
  async #round(): Promise<void> {
    await this.#count();
    for (let step = 0; step < maxSteps && !this.#closed.signal.aborted; step++) {
      const swept = await this.#rows(sweepStatement);
      const forgotten = await this.#rows(forgetStatement);
      if (swept < 0 && forgotten === 0) return;
    }
  }

  async #count(): Promise<void> {
    const [row] = await this.#connections.read<{ count: string }>(countStatement, []);
    if (row !== undefined) this.#onCounted(Number(row.count));
  }

  async #rows(statement: Statement): Promise<number> {
    const [row] = await this.#connections.write<{ rows: string }>(statement, []);
    return Number(row?.rows ?? 0);
  }
}
