import { Client } from "pg";
import type { SignalStore } from "../signal-store.js";
import { checkDatabase } from "./check-database.js";
import { beginSession, type ConnectionSettings, connectFailure, connectionSettings } from "./connection-settings.js";
import { migrate, withLayoutLock } from "./postgres-schema.js";
import { PostgresSignalStore } from "./postgres-signal-store.js";
import { countStatement } from "./read-statements.js";
import { countServers } from "./server-slots.js";

/** What opening a database needs to know. */
export interface PostgresStoreOptions {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with parameters as the driver takes them. */
  readonly url: string;
  /** Told what should be known about the database although it works. */
  readonly onWarning: (message: string) => void;
}

/**
 * Opens the store in a PostgreSQL database and prepares it where it is new. Throws an Error that says what to do when the
 * database cannot be reached, does not keep what it has answered for, or holds something else.
 */
export async function openPostgresStore({ url, onWarning }: PostgresStoreOptions): Promise<SignalStore> {
  const settings = connectionSettings(url);
  try {
    const count = await prepare(settings, onWarning);
    const store = new PostgresSignalStore({ settings, count });
    try {
      await store.open();
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    throw connectFailure(settings, error);
  }
}

/** Checks the database and brings its layout up to date; answers how many coordinations it holds. */
async function prepare({ config }: ConnectionSettings, onWarning: (message: string) => void): Promise<number> {
  const client = new Client(config);
  // The statement at work fails as well, and tells.
  client.on("error", () => undefined);
  try {
    await client.connect();
    // Before the session is set up, which would hide what the database does by itself.
    for (const warning of await checkDatabase(client)) onWarning(warning);
    await beginSession(client);
    await withLayoutLock(client, "alone", () => migrate(client, () => countServers(client)));
    const { rows } = await client.query<{ count: string }>(countStatement);
    return Number(rows[0]?.count ?? 0);
  } finally {
    await client.end().catch(() => undefined);
  }
}
