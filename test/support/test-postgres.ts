/** PostgreSQL for tests: a database of its own for each, on a server that ends with the tests. */
import { randomUUID } from "node:crypto";
import { Client, type QueryResultRow } from "pg";
import { type PostgresCluster, startPostgresCluster } from "./postgres-cluster.js";

/** A PostgreSQL server that tests can use. */
export interface TestPostgres extends AsyncDisposable {
  /** Makes an empty database; answers its URL. */
  createDatabase(options?: string): Promise<string>;
  /** Makes a database with all that is in another one, as a restored dump is; answers its URL. Nobody may be connected to it. */
  copyDatabase(url: string): Promise<string>;
  /** The server itself, where it is the tests' own to stop and start. */
  readonly cluster: PostgresCluster | undefined;
}

/** What a test needs of PostgreSQL. */
export interface PostgresNeeds {
  /** Whether it stops the server or changes what others would notice. */
  readonly ownServer?: boolean;
}

/**
 * The server that COORDINATION_TEST_POSTGRES_URL names, or one out of the packages. Where neither can be had it says why, and
 * answers undefined: the tests that need it are skipped.
 */
export async function openTestPostgres({ ownServer = false }: PostgresNeeds = {}): Promise<TestPostgres | undefined> {
  const given = process.env["COORDINATION_TEST_POSTGRES_URL"] ?? "";
  if (given !== "")
    return ownServer ? skip("they stop the server, and it was given") : new GivenPostgres(given, undefined);
  try {
    const cluster = await startPostgresCluster();
    return new GivenPostgres(cluster.url, cluster);
  } catch (error) {
    return skip(error instanceof Object && "message" in error ? String(error.message) : String(error));
  }
}

/** Runs one statement on a database, over a connection of its own. */
export async function queryOnce<Row extends QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

class GivenPostgres implements TestPostgres {
  readonly cluster: PostgresCluster | undefined;
  readonly #url: string;
  readonly #databases: string[] = [];

  constructor(url: string, cluster: PostgresCluster | undefined) {
    this.#url = url;
    this.cluster = cluster;
  }

  createDatabase(options = ""): Promise<string> {
    return this.#create(`TEMPLATE template0 ${options}`);
  }

  copyDatabase(url: string): Promise<string> {
    return this.#create(`TEMPLATE ${new URL(url).pathname.slice(1)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.cluster !== undefined) return this.cluster[Symbol.asyncDispose]();
    for (const name of this.#databases) await queryOnce(this.#url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }

  async #create(how: string): Promise<string> {
    const name = `coordination_test_${randomUUID().replaceAll("-", "")}`;
    await queryOnce(this.#url, `CREATE DATABASE ${name} ${how}`);
    this.#databases.push(name);
    const url = new URL(this.#url);
    url.pathname = `/${name}`;
    return url.href;
  }
}

function skip(why: string): undefined {
  console.warn(`tests with PostgreSQL are skipped: ${why}`);
  return undefined;
}
