import { afterAll, afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { Client } from "pg";
import { byteaArray } from "../../server/src/store/postgres/binary-arrays.js";
import { commitStatement, commitValues } from "../../server/src/store/postgres/commit-statement.js";
import { beginSession } from "../../server/src/store/postgres/connection-settings.js";
import { openPostgresStore } from "../../server/src/store/postgres/open-postgres-store.js";
import type { Statement } from "../../server/src/store/postgres/postgres-connections.js";
import { kindNumber } from "../../server/src/store/postgres/postgres-records.js";
import {
  changesStatement,
  findRequestsStatement,
  readBackwardStatement,
  readForwardStatement,
  readJournalBackStatement,
  readJournalStatement,
} from "../../server/src/store/postgres/read-statements.js";
import { requestDigest } from "../../server/src/store/request-digest.js";
import type { JournalKind, SignalStore } from "../../server/src/store/signal-store.js";
import { entryAt, headerOf, PartWriter } from "../support/log-entries.js";
import { openTestPostgres } from "../support/test-postgres.js";

/*
 * What statements cost is told by the rows they read, which the database counts. Their plans are made once for each
 * connection: here when the tables are empty, so that PostgreSQL knows no better than on the first day of a server.
 */

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const { epoch } = headerOf();
const signals = 2_000;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const key = (number: number): Buffer => Buffer.from(String(number).padStart(6, "0"));

(postgres === undefined ? describe.skip : describe)("statements", () => {
  let store: SignalStore;
  let client: Client;
  let writer: PartWriter;

  beforeEach(async () => {
    const url = (await postgres?.createDatabase()) ?? "";
    store = await openPostgresStore({ url, onWarning: () => undefined });
    client = new Client({ connectionString: url });
    await client.connect();
    await beginSession(client);
    writer = new PartWriter();
  });

  afterEach(async () => {
    await client.end();
    await store.close();
  });

  /** Runs a statement; answers how many rows of the tables it has read, and how many it returned. */
  async function cost({ statement, values }: Use): Promise<{ readonly read: number; readonly returned: number }> {
    await client.query("BEGIN");
    const before = await rowsRead();
    const { rows } = await client.query({ ...statement, values: [...values] });
    const read = (await rowsRead()) - before;
    await client.query("COMMIT");
    return { read, returned: rows.length };
  }

  /** Since some time before the transaction: the counts are passed on now and then, in between. */
  async function rowsRead(): Promise<number> {
    const { rows } = await client.query<{ read: number }>(
      `SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int AS read FROM pg_stat_xact_user_tables
       WHERE schemaname = 'coordination_signals'`,
    );
    return rows[0]?.read ?? Number.NaN;
  }

  /** Fills the tables: one coordination with much in it, and many others. */
  async function fill(): Promise<void> {
    const entries = numbers(signals).map((number) => entryAt(BigInt(number), { requestId: `${number}` }));
    const records = (kind: JournalKind) => numbers(1_000).map((n) => ({ kind, key: `${key(n)}`, value: key(n) }));
    await store.commit([writer.write(entries, {}, { records: [...records("agent"), ...records("audit")] })]);
    await store.commit(numbers(500).map((number) => writer.write([], { coordinationId: `other-${number}` })));
  }

  const requestKey = (number: number) => requestDigest(`sender\0${number}`);

  test("of commits read what they change", async () => {
    const commit = (...args: Parameters<PartWriter["write"]>): Use => ({
      statement: commitStatement,
      values: commitValues([writer.write(...args)]),
    });
    await cost(commit([]));
    await fill();
    expect((await cost(commit([entryAt(2_001n)]))).read).toBeLessThan(10);
    const trimmed = { oldestSequence: 11n, trimmedThroughSequence: 10n };
    expect((await cost(commit([entryAt(2_002n)], trimmed))).read).toBeLessThan(20);
    expect((await cost(commit([entryAt(2_003n)], {}, { removeAfterSequence: 1_990n }))).read).toBeLessThan(30);
    await client.query("ANALYZE");
    expect((await cost(commit([entryAt(2_004n)]))).read).toBeLessThan(10);
  });

  test.each<readonly [string, Statement, readonly unknown[], number]>([
    ["forward from the beginning", readForwardStatement, ["c", epoch, 0n, 10, 1_000_000], 10],
    ["backward from the end", readBackwardStatement, ["c", epoch, 2_001n, 10, 1_000_000], 10],
    ["requests that are known", findRequestsStatement, ["c", epoch, byteaArray([1, 2, 3].map(requestKey))], 3],
    ["requests that are new", findRequestsStatement, ["c", epoch, byteaArray([-1, -2].map(requestKey))], 0],
    ["the first records", readJournalStatement, ["c", epoch, kindNumber("audit"), Buffer.of(), 10], 10],
    ["the last records", readJournalBackStatement, ["c", epoch, kindNumber("audit"), Buffer.of(0xff), 10], 10],
  ])("read no more than they return: %s", async (_, statement, values, returned) => {
    await cost({ statement, values });
    await fill();
    for (const knows of ["nothing of the tables", "what is in them"]) {
      const { read, ...rest } = await cost({ statement, values });
      expect({ knows, ...rest }).toEqual({ knows, returned });
      expect(read).toBeLessThan(returned + 5);
      await client.query("ANALYZE");
    }
  });

  test("read what has changed, and nothing else", async () => {
    const values = () => ["c", epoch, writer.header("c")?.commits ?? 0n, BigInt(signals), 1_000, 1_000_000];
    await cost({ statement: changesStatement, values: values() });
    await fill();
    const before = values();
    expect(await cost({ statement: changesStatement, values: before })).toMatchObject({ returned: 1 });
    const records = [{ kind: "agent", key: "x", value: Buffer.of(1) }] as const;
    await store.commit([writer.write([entryAt(2_001n), entryAt(2_002n)], {}, { records })]);
    const { read, returned } = await cost({ statement: changesStatement, values: before });
    expect(returned).toBe(4);
    expect(read).toBeLessThan(10);
  });
});

interface Use {
  readonly statement: Statement;
  readonly values: readonly unknown[];
}
