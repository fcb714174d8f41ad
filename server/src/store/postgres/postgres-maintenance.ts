import { Client } from "pg";
import { InspectionFindings } from "../inspection-findings.js";
import type { InspectionReport, StoreMaintenance } from "../store-maintenance.js";
import { databaseGuarantees } from "./check-database.js";
import { beginSession, type ConnectionSettings, connectFailure, connectionSettings } from "./connection-settings.js";
import { PostgresInspection } from "./inspect-postgres.js";
import { checkLayout, migrate, withLayoutLock } from "./postgres-schema.js";
import { renewEpochs } from "./renew-epochs.js";
import { countServers } from "./server-slots.js";

/** Maintains the store in a PostgreSQL database. */
export function postgresMaintenance(url: string): StoreMaintenance {
  const settings = connectionSettings(url);
  return {
    inspect: (onProgress) => withClient(settings, (client) => inspect(client, settings.url, onProgress)),
    backup: async () => {
      throw new Error(
        `store ${settings.url} is backed up by PostgreSQL's own tools: pg_dump, or pg_basebackup with its archive; after a restore run: coordination-server restore --store ${settings.url}`,
      );
    },
    renewEpochs: () => withClient(settings, renew),
    restore: async () => {
      throw new Error(
        `store ${settings.url} is filled by PostgreSQL's own tools, such as pg_restore; then run, without a directory: coordination-server restore --store ${settings.url}`,
      );
    },
  };
}

async function inspect(
  client: Client,
  store: string,
  onProgress: (rowCount: number) => void,
): Promise<InspectionReport> {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  await checkLayout(client);
  const guarantees = await databaseGuarantees(client, await countServers(client));
  const findings = new InspectionFindings(onProgress);
  const coordinations = await new PostgresInspection(client, findings).run();
  await client.query("ROLLBACK");
  return { store, guarantees, rowCount: findings.rowCount, coordinations, damages: findings.damages };
}

/** All coordinations or none: who is cut off finds the epochs as they were. */
async function renew(client: Client): Promise<number> {
  await beginSession(client);
  return await withLayoutLock(client, "alone", async () => {
    const servers = await countServers(client);
    if (servers > 0) {
      throw new Error(`${servers} servers work on the database: stop them first, they know the epochs from before`);
    }
    await migrate(client, async () => servers);
    return renewEpochs(client);
  });
}

/** Nobody else waits for this connection, so nothing it does is cut short but by who started it. */
async function withClient<T>(settings: ConnectionSettings, use: (client: Client) => Promise<T>): Promise<T> {
  const { statement_timeout, query_timeout, idle_in_transaction_session_timeout, ...config } = settings.config;
  const client = new Client(config);
  // The statement at work fails as well, and tells.
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    throw connectFailure(settings, error);
  } finally {
    await client.end().catch(() => undefined);
  }
}
