import type { ClientBase } from "pg";
import { checkLayout, lockClass, withLayoutLock } from "./postgres-schema.js";

/*
 * Every server that works on a database holds one number there, by an advisory lock that ends with its connection: what tells
 * its counters from the others', and tells maintenance that it is there. It is taken under the lock of the layout, so that
 * whoever has that lock alone knows all servers and meets no new one.
 */

/** Servers that can share a database. */
const maxServers = 1_024;

/** Takes the smallest number that no other server has, or the one it had before if that is free. */
export function takeSlot(client: ClientBase, previous: number): Promise<number> {
  return withLayoutLock(client, "shared", async () => {
    // It may have changed while this server was not connected.
    await checkLayout(client);
    const { rows } = await client.query<{ slot: number }>(
      `SELECT slot FROM (SELECT $2::int4 AS slot UNION ALL SELECT generate_series(0, $3::int4 - 1)) AS slots
       WHERE pg_try_advisory_lock($1::int4, slot) LIMIT 1`,
      [lockClass, previous, maxServers],
    );
    const [taken] = rows;
    if (taken === undefined) throw new Error(`${maxServers} servers share the database, which is the limit`);
    return taken.slot;
  });
}

/** How many servers work on the database. */
export async function countServers(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ servers: string }>(
    `SELECT count(*) AS servers FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1::int8
       AND objid < $2::int8 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [lockClass, maxServers],
  );
  return Number(rows[0]?.servers ?? 0);
}
