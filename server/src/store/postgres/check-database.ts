import type { ClientBase } from "pg";
import { schemaVersion } from "./postgres-schema.js";

/** PostgreSQL 14: the oldest that is still maintained. */
const leastVersion = 140_000;

interface DatabaseSettings {
  readonly version: string;
  readonly version_number: string;
  readonly synchronous_commit: string;
  readonly synchronous_standby_names: string;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly data_checksums: string;
  readonly encoding: string;
  readonly is_standby: boolean;
}

/**
 * Checks that a database keeps what it has answered for. Throws an Error that says what to change. Answers what should be
 * known to whoever runs the server although it does not keep it from running.
 */
export async function checkDatabase(client: ClientBase): Promise<readonly string[]> {
  const found = await readSettings(client);
  if (Number(found.version_number) < leastVersion) {
    throw new Error(`PostgreSQL is version ${found.version}, 14 or newer is needed`);
  }
  if (found.is_standby) throw new Error("PostgreSQL is a standby that only reads: name the primary");
  if (found.encoding !== "UTF8") {
    throw new Error(`the database has encoding ${found.encoding}, UTF8 is needed: create it with ENCODING 'UTF8'`);
  }
  if (found.synchronous_commit === "off") {
    throw new Error(
      "synchronous_commit is off, so what was answered for could be lost: ALTER DATABASE ... SET synchronous_commit = on",
    );
  }
  return atPowerLoss(found).map(
    (name) => `${name} of PostgreSQL is off: what was answered for can be lost when its machine loses power`,
  );
}

/** What the database promises, as (name, meaning) for people. */
export async function databaseGuarantees(
  client: ClientBase,
  servers: number,
): Promise<readonly (readonly [name: string, meaning: string])[]> {
  const found = await readSettings(client);
  const standbys = found.synchronous_standby_names;
  return [
    ["durable", durability(found)],
    ["standbys", standbys === "" ? "a commit waits for none" : `a commit waits for ${standbys}`],
    ["damage", `every row has a checksum and rows are counted; data checksums of PostgreSQL: ${found.data_checksums}`],
    [
      "retention",
      "as --max-history-signals and --retention-age of the servers say; each coordination's oldest is above",
    ],
    ["replicas", `any number of servers; ${servers} work on it now`],
    ["database", `PostgreSQL ${found.version}${found.is_standby ? ", a standby" : ""}; layout ${schemaVersion}`],
  ];
}

function durability(found: DatabaseSettings): string {
  const unsafe = atPowerLoss(found);
  if (found.synchronous_commit === "off") unsafe.push("synchronous_commit");
  if (unsafe.length > 0) return `NO: ${unsafe.join(", ")} off, what was acknowledged can be lost`;
  return `every acknowledged change is on disk first: fsync on, full_page_writes on, synchronous_commit ${found.synchronous_commit}`;
}

/** Names the settings by which a loss of power can undo what was answered for. */
function atPowerLoss(found: DatabaseSettings): string[] {
  return (["fsync", "full_page_writes"] as const).filter((name) => found[name] === "off");
}

async function readSettings(client: ClientBase): Promise<DatabaseSettings> {
  const { rows } = await client.query<DatabaseSettings>(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS version_number,
      current_setting('synchronous_commit') AS synchronous_commit,
      current_setting('synchronous_standby_names') AS synchronous_standby_names, current_setting('fsync') AS fsync,
      current_setting('full_page_writes') AS full_page_writes, current_setting('data_checksums') AS data_checksums,
      current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby`);
  const [found] = rows;
  if (found === undefined) throw new Error("the database does not tell its settings");
  return found;
}
