import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { Client } from "pg";
import { postgresMaintenance } from "../../server/src/store/postgres/postgres-maintenance.js";
import { lockClass, schemaVersion } from "../../server/src/store/postgres/postgres-schema.js";
import { lockedRole, type PostgresCluster, startPostgresCluster } from "../support/postgres-cluster.js";
import { openReplicas } from "../support/replicas-under-test.js";
import { type CommandResult, runCommand } from "../support/run-command.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { canMakeCertificates, makeCertificates } from "../support/test-certificates.js";
import { openTestPostgres, queryOnce } from "../support/test-postgres.js";

const bin = join(import.meta.dirname, "..", "..", "server", "bin", "coordination-server.js");
const postgres = await openTestPostgres({ ownServer: true });
const cluster = postgres?.cluster;

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const start = (store: string): Promise<CommandResult> => runCommand({ args: [bin, "--port", "0", "--store", store] });

/** The one line that a server wrote which could not start. */
function complaintOf({ code, stdout, stderr }: CommandResult): string {
  expect({ code, stdout, lines: stderr.split("\n").length }).toEqual({ code: 1, stdout: "", lines: 2 });
  expect(stderr).toMatch(/^coordination-server: store /);
  return stderr;
}

(cluster === undefined ? describe.skip : describe)("a server that starts on PostgreSQL", () => {
  /** An empty database. */
  let url: string;

  beforeEach(async () => {
    url = (await postgres?.createDatabase()) ?? "";
  });

  const as = (changes: Partial<Record<"username" | "password" | "hostname" | "port" | "pathname", string>>): string =>
    Object.assign(new URL(url), changes).href;
  const tables = (): Promise<readonly unknown[]> =>
    queryOnce(url, "SELECT nspname FROM pg_namespace WHERE nspname = 'coordination_signals'");

  describe("says in one line what is wrong", () => {
    test.each([
      [
        "postgres://me@host:port/db",
        /is not a URL that PostgreSQL takes: use postgres:\/\/USER:PASSWORD@HOST:PORT\/DATABASE/,
      ],
      ["postgres://me:pa#secret@host/db", /is not a URL that PostgreSQL takes.* special characters as %XX/],
      [
        "postgres://me@host/db?sslmode=prefer",
        /has sslmode "prefer", allowed is one of disable, require, verify-ca, verify-full/,
      ],
      ["postgres://me@host/db?sslmode=verify-ca", /sslmode verify-ca, which needs sslrootcert=FILE/],
      ["postgres://me@host/db?sslrootcert=/no/such/file", /no such file or directory, open '\/no\/such\/file'/],
      ["postgres://me:secret@127.0.0.1:1/db", /nothing listens at 127\.0\.0\.1:1: check that PostgreSQL runs there/],
      ["postgres://me@nobody.invalid/db", /the host of nobody\.invalid:5432 is not known: check its name/],
    ])("%s", async (store, complaint) => {
      const line = complaintOf(await start(store));
      expect(line).toMatch(complaint);
      expect(line).not.toContain("secret");
    });

    test("somebody who listens and never answers", async () => {
      const silent = createServer((socket) => socket.on("error", () => undefined).resume());
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
      const address = silent.address();
      const port = typeof address === "object" ? address?.port : 0;
      const line = complaintOf(await start(`postgres://me@127.0.0.1:${port}/db`));
      expect(line).toMatch(/takes connections but does not answer within 5 s/);
      await new Promise((resolve) => silent.close(resolve));
    });

    test("a wrong password", async () => {
      const { name, password } = lockedRole;
      await queryOnce(url, `CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
      const wrong = complaintOf(await start(as({ username: name, password: "wrong" })));
      expect(wrong).toMatch(/does not let in user "locked": check the password and pg_hba.conf/);
      expect(wrong).not.toContain("wrong");
      expect(complaintOf(await start(as({ username: "nobody", password: "" })))).toMatch(
        /does not let in user "nobody"/,
      );
    });

    test("a database that does not exist", async () => {
      const line = complaintOf(await start(as({ pathname: "/nowhere" })));
      expect(line).toMatch(/has no database "nowhere": create it, for example with createdb nowhere/);
    });

    test("a user who may not make tables, and makes none", async () => {
      await queryOnce(url, "CREATE ROLE guest LOGIN");
      const line = complaintOf(await start(as({ username: "guest", password: "" })));
      expect(line).toMatch(/user "guest" may not do what is needed .*: GRANT CREATE ON DATABASE/);
      expect(await tables()).toEqual([]);
    });

    test.each([
      [
        "synchronous_commit that is off",
        "ALTER DATABASE @ SET synchronous_commit = off",
        /synchronous_commit is off, .*ALTER DATABASE/,
      ],
      ["a database of another encoding", undefined, /has encoding LATIN1, UTF8 is needed/],
    ])("%s, and touches nothing", async (_, statement, complaint) => {
      if (statement === undefined) url = (await postgres?.createDatabase("ENCODING 'LATIN1' LOCALE 'C'")) ?? "";
      else await queryOnce(url, statement.replace("@", new URL(url).pathname.slice(1)));
      expect(complaintOf(await start(url))).toMatch(complaint);
      expect(await tables()).toEqual([]);
    });

    test("a schema that is somebody else's", async () => {
      await queryOnce(url, "CREATE SCHEMA coordination_signals CREATE TABLE theirs ()");
      expect(complaintOf(await start(url))).toMatch(/was not made by this server: use another database, or rename/);
    });

    test("a database of a newer layout, which the other commands leave alone too", async () => {
      await (await spawnServer(["--store", url])).stop();
      await queryOnce(url, "UPDATE coordination_signals.schema_version SET version = 99");
      const complaint =
        /the database has layout 99 of schema coordination_signals, this server knows \d+: use a server as new/;
      expect(complaintOf(await start(url))).toMatch(complaint);
      for (const command of ["doctor", "restore"]) {
        expect(complaintOf(await runCommand({ args: [bin, command, "--store", url] }))).toMatch(complaint);
      }
      const rows = await queryOnce(url, "SELECT version FROM coordination_signals.schema_version");
      expect(rows).toEqual([{ version: 99 }]);
    });
  });

  describe("prepares the database", () => {
    const toFirstLayout = (): Promise<unknown> =>
      queryOnce(
        url,
        `ALTER TABLE coordination_signals.coordinations DROP COLUMN request_count, DROP COLUMN record_count;
         UPDATE coordination_signals.schema_version SET version = 1`,
      );

    test("once, when several start at the same time", async () => {
      const servers = await Promise.all([1, 2, 3, 4].map(() => spawnServer(["--store", url])));
      for (const server of servers) expect(await server.stop()).toMatchObject({ code: 0 });
      expect((await postgresMaintenance(url).inspect(() => undefined)).damages).toEqual([]);
    });

    test("and brings an older layout up to date, with what it holds", async () => {
      {
        await using servers = await openReplicas(url, 1);
        for (let i = 0; i < 3; i++) await servers.at(0).send({ requestId: `r${i}` });
      }
      await toFirstLayout();
      const servers = await Promise.all([1, 2].map(() => spawnServer(["--store", url])));
      for (const server of servers) await server.stop();
      const { damages, coordinations } = await postgresMaintenance(url).inspect(() => undefined);
      expect({ damages, coordinations }).toMatchObject({ damages: [], coordinations: [{ signalCount: 3 }] });
    });

    test("but not while servers work on the older layout", async () => {
      await (await spawnServer(["--store", url])).stop();
      await toFirstLayout();
      const older = new Client({ connectionString: url });
      await older.connect();
      await older.query("SELECT pg_advisory_lock($1, 0)", [lockClass]);
      const line = complaintOf(await start(url));
      await older.end();
      expect(line).toContain(`has layout 1, this server needs ${schemaVersion}, and 1 servers work on it: stop them`);
      await (await spawnServer(["--store", url])).stop();
    });

    test("in a schema that was made for a user who may not make one", async () => {
      await queryOnce(url, "CREATE ROLE tenant LOGIN");
      await queryOnce(url, "CREATE SCHEMA coordination_signals AUTHORIZATION tenant");
      const server = await spawnServer(["--store", as({ username: "tenant", password: "" })]);
      expect(await server.stop()).toMatchObject({ code: 0 });
    });
  });
});

(cluster === undefined ? describe.skip : describe)("a PostgreSQL whose fsync is off", () => {
  test("is served with a warning, and doctor says what it does not promise", async () => {
    await using unsafe = await startPostgresCluster({ settings: ["fsync=off"] });
    await using server = await spawnServer(["--store", unsafe.url]);
    const doctor = await runCommand({ args: [bin, "doctor", "--store", unsafe.url] });
    expect(doctor.stdout).toMatch(/^ {2}durable {5}NO: fsync off, what was acknowledged can be lost$/m);
    await server.stop();
    expect(server.stderr()).toMatch(/"level":40.*fsync of PostgreSQL is off: what was answered for can be lost/);
  });
});

(cluster === undefined || !canMakeCertificates() ? describe.skip : describe)("TLS to the database", () => {
  const hostName = "localhost";
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let secured: PostgresCluster;
  /** Paths of certificates: of who signed the server's, and of somebody else. */
  let authority: string;
  let stranger: string;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    const [own, other] = [join(directory.path, "own"), join(directory.path, "other")];
    await Promise.all([mkdir(own), mkdir(other)]);
    const certificates = await makeCertificates(own, hostName);
    authority = certificates.authority;
    stranger = (await makeCertificates(other, hostName)).authority;
    secured = await startPostgresCluster({ certificate: { cert: certificates.cert, key: certificates.key } });
  });

  afterAll(async () => {
    await secured[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const at = (host: string, parameters: Readonly<Record<string, string>>): string =>
    `${Object.assign(new URL(secured.url), { hostname: host }).href}?${new URLSearchParams(parameters)}`;

  test.each([
    ["require", hostName, () => ({})],
    ["require", "127.0.0.1", () => ({ sslrootcert: authority })],
    ["verify-ca", "127.0.0.1", () => ({ sslrootcert: authority })],
    ["verify-full", hostName, () => ({ sslrootcert: authority })],
  ])("%s at %s encrypts every connection", async (sslmode, host, rest) => {
    await using server = await spawnServer(["--store", at(host, { sslmode, ...rest() })]);
    const connections = await queryOnce(
      secured.url,
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'coordination-server'`,
    );
    expect(connections).toEqual([{ ssl: true }]);
    expect(await server.stop()).toMatchObject({ code: 0, signal: null });
    expect(server.stderr()).not.toContain("SECURITY WARNING");
  });

  test.each([
    ["verify-full", hostName, () => ({}), /is not trusted .* name its authority's with sslrootcert=FILE/],
    ["verify-full", hostName, () => ({ sslrootcert: stranger }), /the certificate .* is not trusted/],
    ["verify-ca", hostName, () => ({ sslrootcert: stranger }), /the certificate .* is not trusted/],
    ["require", hostName, () => ({ sslrootcert: stranger }), /the certificate .* is not trusted/],
    ["verify-full", "127.0.0.1", () => ({ sslrootcert: authority }), /is for another host/],
  ])("%s at %s refuses a certificate that does not fit: %#", async (sslmode, host, rest, complaint) => {
    expect(complaintOf(await start(at(host, { sslmode, ...rest() })))).toMatch(complaint);
  });

  test("is asked for in vain where the database has none", async () => {
    expect(complaintOf(await start(`${cluster?.url}?sslmode=require`))).toMatch(/has no TLS: switch it on there/);
  });
});
