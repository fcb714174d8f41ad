import type { ClientBase } from "pg";

/*
 * The layout, in a schema of its own so that the database can hold other things as well.
 *
 * A coordination is a row with its counter, the number of its commits, on which a commit is compare-and-set; its header as
 * JSON; and an ordinal that one incarnation gets and no other ever will, under which its signals and journal records lie. So
 * rows of a removed one can be swept later without anybody meeting them. A journal record that was removed stays as a row
 * without a value until every server can be expected to have seen it. Every value has a CRC-32 over itself and what it belongs
 * to; how many rows there are is counted on the coordination's row, so that one that vanished is missed.
 *
 * Migrations only ever follow each other: one that was released is not edited.
 */

/** The schema that holds everything. */
export const schemaName = "coordination_signals";

const migrations: readonly string[] = [
  `
  CREATE TABLE ${schemaName}.coordinations (
    ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    epoch text NOT NULL,
    commits bigint NOT NULL,
    head_sequence bigint NOT NULL,
    trimmed_through bigint NOT NULL,
    header text NOT NULL,
    checksum bigint NOT NULL,
    removals_forgotten_through bigint NOT NULL DEFAULT 0
  ) WITH (fillfactor = 50);

  CREATE TABLE ${schemaName}.signals (
    ordinal bigint NOT NULL,
    sequence bigint NOT NULL,
    request_key bytea,
    content_hash bytea,
    bytes bytea NOT NULL,
    checksum bigint NOT NULL,
    PRIMARY KEY (ordinal, sequence)
  );
  CREATE INDEX signals_by_request ON ${schemaName}.signals (ordinal, request_key) WHERE request_key IS NOT NULL;

  CREATE TABLE ${schemaName}.journal (
    ordinal bigint NOT NULL,
    kind smallint NOT NULL,
    key bytea NOT NULL,
    value bytea,
    checksum bigint NOT NULL,
    commits bigint NOT NULL,
    remove_time timestamptz,
    PRIMARY KEY (ordinal, kind, key)
  ) WITH (fillfactor = 80);
  CREATE INDEX journal_by_commit ON ${schemaName}.journal (ordinal, commits) WHERE kind <= 3;
  CREATE INDEX journal_removals ON ${schemaName}.journal (remove_time) WHERE remove_time IS NOT NULL;

  CREATE TABLE ${schemaName}.garbage (ordinal bigint PRIMARY KEY);
  `,
  `
  ALTER TABLE ${schemaName}.coordinations ADD COLUMN request_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN record_count bigint NOT NULL DEFAULT 0;
  UPDATE ${schemaName}.coordinations c SET
    request_count = (SELECT count(*) FROM ${schemaName}.signals s WHERE s.ordinal = c.ordinal AND s.request_key IS NOT NULL),
    record_count = (SELECT count(*) FROM ${schemaName}.journal j WHERE j.ordinal = c.ordinal);
  `,
  // Repetitions are compared by the signal itself. A server that still compares hashes would take a request without for none.
  `
  COMMENT ON COLUMN ${schemaName}.signals.content_hash IS 'of signals that were stored before layout 3';
  `,
];

/** The layout this code reads and writes. */
export const schemaVersion = migrations.length;

/** Advisory locks are taken as (this, number): "CoSi" in ASCII. */
export const lockClass = 0x43_6f_53_69;
const layoutLock = -1;

/**
 * Runs `use` in a transaction that keeps the layout as it is (shared), or keeps everybody else from it (alone): no server can
 * take a place among those that share the database meanwhile.
 */
export async function withLayoutLock<T>(
  client: ClientBase,
  how: "shared" | "alone",
  use: () => Promise<T>,
): Promise<T> {
  const lock = how === "shared" ? "pg_advisory_xact_lock_shared" : "pg_advisory_xact_lock";
  await client.query("BEGIN");
  try {
    await client.query(`SELECT ${lock}($1, $2)`, [lockClass, layoutLock]);
    const result = await use();
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/**
 * Brings the layout up to date, or makes it; to be called under its lock, alone. Throws an Error that says what to do when the
 * schema is not ours, newer than this code, or old and in use: `countServers` tells by how many servers.
 */
export async function migrate(client: ClientBase, countServers: () => Promise<number>): Promise<void> {
  const found = await readVersion(client);
  if (found === schemaVersion) return;
  checkNotNewer(found ?? 0);
  const servers = found === undefined ? 0 : await countServers();
  if (servers > 0) {
    throw new Error(
      `the database has layout ${found}, this server needs ${schemaVersion}, and ${servers} servers work on it: stop them, so that it can be brought up to date`,
    );
  }
  if (found === undefined) await createEmptyLayout(client);
  for (const migration of migrations.slice(found ?? 0)) await client.query(migration);
  await client.query(`UPDATE ${schemaName}.schema_version SET version = $1`, [schemaVersion]);
}

/** Throws an Error that says what to do when the layout is not the one that this code works with. */
export async function checkLayout(client: ClientBase): Promise<void> {
  const found = await readVersion(client);
  if (found === schemaVersion) return;
  if (found === undefined) throw new Error(`the database holds no store: there is no schema ${schemaName} in it`);
  checkNotNewer(found);
  throw new Error(
    `the database has layout ${found} of schema ${schemaName}, ${schemaVersion} is needed: start a server on it, which brings it up to date`,
  );
}

function checkNotNewer(found: number): void {
  if (found <= schemaVersion) return;
  throw new Error(
    `the database has layout ${found} of schema ${schemaName}, this server knows ${schemaVersion}: use a server as new as the one that wrote it`,
  );
}

async function createEmptyLayout(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ is_there: boolean }>("SELECT to_regnamespace($1) IS NOT NULL AS is_there", [
    schemaName,
  ]);
  // Whoever may not make schemas can be given one.
  if (rows[0]?.is_there !== true) await client.query(`CREATE SCHEMA ${schemaName}`);
  await client.query(`CREATE TABLE ${schemaName}.schema_version AS SELECT 0 AS version`);
}

/** The version of the layout that is there; undefined where there is none. */
async function readVersion(client: ClientBase): Promise<number | undefined> {
  const { rows } = await client.query<{ is_there: boolean; tables: string }>(
    `SELECT to_regclass($1 || '.schema_version') IS NOT NULL AS is_there,
       (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1)) AS tables`,
    [schemaName],
  );
  const [found] = rows;
  if (found?.is_there !== true) {
    if (Number(found?.tables ?? 0) === 0) return undefined;
    throw new Error(
      `schema ${schemaName} of the database was not made by this server: use another database, or rename the schema`,
    );
  }
  const versions = await client.query<{ version: number }>(`SELECT version FROM ${schemaName}.schema_version`);
  const [row] = versions.rows;
  if (row === undefined || versions.rows.length > 1) {
    throw new Error(`schema ${schemaName} of the database was not made by this server: it names no version`);
  }
  return row.version;
}
