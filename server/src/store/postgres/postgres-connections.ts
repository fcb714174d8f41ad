import { type ClientBase, Pool, type PoolClient } from "pg";
import { beginSession, type ConnectionSettings } from "./connection-settings.js";
import { databaseAway, isRefusal, isUnavailable, storeError } from "./postgres-errors.js";

/** Connections that commits share: one for the rounds, the others for coordinations that servers fight for. */
const maxWriters = 4;
/** Connections that reads share, so that however many read, commits do not wait for them. */
const maxReaders = 8;
/** Where PostgreSQL warns that it does not wait any more for standbys to have what it has committed: it answers all the same. */
const standbyWarning = "SyncRepWaitForLSN";
const idleTimeoutMs = 30_000;
/** How long closing waits for statements that get no answer. */
const closeTimeoutMs = 3_000;

/** A statement, prepared once for each connection under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

const beginStatement: Statement = { name: "begin", text: "BEGIN" };
const commitStatement: Statement = { name: "commit_transaction", text: "COMMIT" };
const rollbackStatement: Statement = { name: "rollback", text: "ROLLBACK" };

/** What statements run on: a pool, or one connection in the middle of a transaction. */
export type StatementRunner = <Row extends object>(
  statement: Statement,
  values: readonly unknown[],
) => Promise<readonly Row[]>;

/** What the connections work with. */
export interface PostgresConnectionsOptions {
  readonly settings: ConnectionSettings;
  /** Whether the database is known to be away: then nothing is tried. */
  readonly isAway: () => boolean;
  /** Told when a connection has failed: the database may be away. */
  readonly onTrouble: () => void;
}

/** The connections that reads and commits run on. What fails throws what `storeError` makes of it. */
export class PostgresConnections {
  readonly #options: PostgresConnectionsOptions;
  readonly #ending = new Set<Promise<void>>();
  /** Connections whose last commit not all standbys may have that should. */
  readonly #unreplicated = new WeakSet<ClientBase>();
  #readers: Pool;
  #writers: Pool;

  constructor(options: PostgresConnectionsOptions) {
    this.#options = options;
    this.#readers = this.#open(maxReaders);
    this.#writers = this.#open(maxWriters);
  }

  /** Runs a statement that reads. */
  readonly read: StatementRunner = (statement, values) => this.#run(this.#readers, statement, values);

  /** Runs a statement that writes. */
  readonly write: StatementRunner = <Row extends object>(statement: Statement, values: readonly unknown[]) =>
    this.#guarded(async () => {
      const client = await this.#writers.connect();
      client.on("error", ignore);
      let isFit = false;
      try {
        const { rows } = await client.query<Row>({ ...statement, values: [...values] });
        this.#assertReplicated(client);
        isFit = true;
        return rows;
      } finally {
        client.removeListener("error", ignore);
        client.release(!isFit);
      }
    });

  /** Runs statements in one transaction, which ends well when `use` does. */
  transaction<T>(use: (run: StatementRunner) => Promise<T>): Promise<T> {
    return this.#guarded(async () => {
      const client = await this.#writers.connect();
      // The statement at work fails as well, and tells; without a listener the process would end.
      client.on("error", ignore);
      // A connection that owes an answer cannot be used again; the database undoes what is open when it ends.
      let owesAnswer = true;
      const run: StatementRunner = async <Row extends object>(statement: Statement, values: readonly unknown[]) => {
        owesAnswer = true;
        const { rows } = await client.query<Row>({ ...statement, values: [...values] }).catch((error: unknown) => {
          owesAnswer = !isRefusal(error);
          throw error;
        });
        this.#assertReplicated(client);
        owesAnswer = false;
        return rows;
      };
      try {
        await run(beginStatement, []);
        const result = await use(run);
        await run(commitStatement, []);
        return result;
      } catch (error) {
        if (!owesAnswer) await run(rollbackStatement, []).catch(ignore);
        throw error;
      } finally {
        client.removeListener("error", ignore);
        client.release(owesAnswer);
      }
    });
  }

  /** Opens new connections from now on: those from before a time without network may wait for answers that never come. */
  renew(): void {
    this.#end();
    this.#readers = this.#open(maxReaders);
    this.#writers = this.#open(maxWriters);
  }

  /** Resolves when every connection has ended, or does not within 3 seconds. */
  async close(): Promise<void> {
    this.#end();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeTimeoutMs);
    });
    await Promise.race([Promise.all(this.#ending), timeout]);
    clearTimeout(timer);
  }

  #end(): void {
    for (const pool of [this.#readers, this.#writers]) {
      const ended = pool.end().finally(() => this.#ending.delete(ended));
      this.#ending.add(ended);
    }
  }

  #open(max: number): Pool {
    const pool = new Pool({
      ...this.#options.settings.config,
      max,
      min: 1,
      idleTimeoutMillis: idleTimeoutMs,
      onConnect: (client) => this.#begin(client),
    });
    // A connection that ends while nobody uses it is one less; the next use opens another.
    pool.on("error", () => this.#options.onTrouble());
    return pool;
  }

  async #begin(client: ClientBase): Promise<void> {
    client.on("notice", ({ routine }) => {
      if (routine === standbyWarning) this.#unreplicated.add(client);
    });
    await beginSession(client);
  }

  /** Throws where it is not known whether what was committed would survive the primary. */
  #assertReplicated(client: PoolClient): void {
    if (this.#unreplicated.has(client)) throw new Error("the database did not wait for its standbys");
  }

  #run<Row extends object>(pool: Pool, statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#guarded(async () => (await pool.query<Row>({ ...statement, values: [...values] })).rows);
  }

  async #guarded<T>(use: () => Promise<T>): Promise<T> {
    if (this.#options.isAway()) throw databaseAway();
    try {
      return await use();
    } catch (error) {
      const failure = storeError(error);
      if (isUnavailable(failure)) this.#options.onTrouble();
      throw failure;
    }
  }
}

function ignore(): void {}
