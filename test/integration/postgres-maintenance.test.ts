import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createCoordinationClient } from "../../client-sdk/src/index.js";
import { openPostgresStore } from "../../server/src/store/postgres/open-postgres-store.js";
import { postgresMaintenance } from "../../server/src/store/postgres/postgres-maintenance.js";
import type { InspectionReport } from "../../server/src/store/store-maintenance.js";
import { eventually } from "../support/eventually.js";
import { openReplicas, type ReplicasUnderTest } from "../support/replicas-under-test.js";
import { type CommandResult, runCommand } from "../support/run-command.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { openTestPostgres, queryOnce } from "../support/test-postgres.js";

const bin = join(import.meta.dirname, "..", "..", "server", "bin", "coordination-server.js");
const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const run = (...args: string[]): Promise<CommandResult> => runCommand({ args: [bin, ...args] });
const inspect = (url: string): Promise<InspectionReport> => postgresMaintenance(url).inspect(() => undefined);

/** Everything that leaves rows, changes them and takes them away, by two servers. */
async function fillVaried(servers: ReplicasUnderTest): Promise<void> {
  const [a, b] = [servers.at(0), servers.at(1)];
  const agent = { agentId: "worker", capabilities: [], provides: [], metadata: {}, leaseMs: 60_000 };
  await b.coordinator.agents.register("c", agent);
  for (let i = 1; i <= 60; i++) {
    await (i % 2 === 0 ? a : b).send({ requestId: i % 3 === 0 ? "" : `r${i}`, senderAgentId: `s${i % 5}` });
  }
  await b.coordinator.rollBack("c", { toSequence: 55n, reason: "", requestedBy: "s1" });
  await a.send({ requestId: "r56", senderAgentId: "s1" });
  await b.coordinator.agents.deregister("c", "worker");
  await a.sendEach([{ coordinationId: "gone" }, { coordinationId: "d", requestId: "x" }]);
  await b.coordinator.deleteCoordination("gone");
}

/** Six signals; answers the cursor behind them. */
async function fill(server: SpawnedServer): Promise<string> {
  await using client = createCoordinationClient({ baseUrl: server.url });
  const session = client.coordination("c", { agentId: "a" });
  await session.initialized({ ready: true });
  for (let i = 0; i < 5; i++) await session.dependencyResolved({ dependencyType: "model", dependencyId: `M${i}` });
  await using signals = session.subscribe({ from: "earliest", includeOwn: true });
  for await (const signal of signals) if (signal.sequence === 6n) break;
  return signals.cursor ?? "";
}

(postgres === undefined ? describe.skip : describe)("work on a PostgreSQL store", () => {
  /** An empty database. */
  let url: string;
  /** A database with six signals, which tests copy. */
  let filled: string;
  let cursor: string;

  beforeAll(async () => {
    filled = (await postgres?.createDatabase()) ?? "";
    await using server = await spawnServer(["--store", filled]);
    cursor = await fill(server);
  });

  beforeEach(async () => {
    url = (await postgres?.createDatabase()) ?? "";
  });

  const copyFilled = async (): Promise<void> => {
    url = (await postgres?.copyDatabase(filled)) ?? "";
  };

  const change = (statement: string): Promise<unknown> =>
    queryOnce(url, statement.replaceAll("@", "coordination_signals."));
  const epochs = () => queryOnce<{ epoch: string }>(url, "SELECT epoch FROM coordination_signals.coordinations");

  describe("doctor", () => {
    test("finds a store sound beside its servers, whatever they did", async () => {
      await using servers = await openReplicas(url, 2, { retentionSignals: 20 });
      await fillVaried(servers);
      // Removals of records are forgotten after a time, which is made to have passed.
      await change("UPDATE @journal SET remove_time = now() - interval '11 minutes' WHERE value IS NULL");
      await eventually(async () => expect(await change("SELECT 1 FROM @journal WHERE value IS NULL")).toEqual([]));
      const { damages, coordinations, rowCount } = await inspect(url);
      expect(damages).toEqual([]);
      expect(coordinations).toMatchObject([
        { coordinationId: "c", headSequence: 61n },
        { coordinationId: "d", headSequence: 1n, signalCount: 1 },
      ]);
      expect(rowCount).toBeGreaterThan(20);
    });

    test("says what it found and what is promised, and changes nothing", async () => {
      await using server = await spawnServer(["--store", url]);
      await fill(server);
      const found = await run("doctor", "--store", url);
      expect(found).toMatchObject({ code: 0, stderr: "" });
      expect(found.stdout).toMatch(/^coordinations 1, 6 signals\n {2}c: head 6, oldest 1, 6 signals, /m);
      expect(found.stdout).toMatch(/^ {2}durable {5}every acknowledged change is on disk first: fsync on/m);
      expect(found.stdout).toMatch(/^ {2}replicas {4}any number of servers; 1 work on it now$/m);
      expect(found.stdout).toMatch(/^verdict {7}sound$/m);
      const asJson = await run("doctor", "--store", url, "--json");
      expect(JSON.parse(asJson.stdout)).toMatchObject({
        damages: [],
        coordinations: [{ coordinationId: "c", headSequence: "6", oldestSequence: "1", signalCount: 6 }],
      });
    });

    test.each([
      ["a damaged header", "UPDATE @coordinations SET header = header || ' '", /header of "c" is damaged/],
      ["a head that moved", "UPDATE @coordinations SET head_sequence = 9", /row of "c" says head 9, trimmed through/],
      ["a damaged signal", "UPDATE @signals SET checksum = 1 WHERE sequence = 3", /signal 3 of "c" is damaged/],
      ["a signal that vanished", "DELETE FROM @signals WHERE sequence = 3", /"c" has signal 4 where 3 should follow 2/],
      [
        "a last signal that vanished",
        "DELETE FROM @signals WHERE sequence = 6",
        /"c" has signal 7 where 6 should follow/,
      ],
      ["a request that vanished", "DELETE FROM @signals WHERE sequence = 3", /"c" has 5 requests, it should have 6/],
      [
        "a damaged record",
        "UPDATE @journal SET checksum = 1 WHERE kind = 1",
        /journal record agent "a" of "c" is damaged/,
      ],
      [
        "a record that vanished",
        "DELETE FROM @journal WHERE kind = 1",
        /"c" has \d+ journal records, it should have \d+/,
      ],
      [
        "a record of a later commit",
        "UPDATE @journal SET commits = 99 WHERE kind = 1",
        /is of commit 99, the last one/,
      ],
      ["a header that vanished", "DELETE FROM @coordinations", /signals under number \d+ belong to no coordination/],
    ])("names %s", async (_, statement, damage) => {
      await copyFilled();
      await change(statement);
      const { damages } = await inspect(url);
      expect(damages).toContainEqual(expect.stringMatching(damage));
    });

    test("ends with 1 when there is damage", async () => {
      await copyFilled();
      await change("DELETE FROM @signals WHERE sequence = 3");
      const { code, stdout } = await run("doctor", "--store", url);
      expect(stdout).toMatch(/^damage {8}"c" has signal 4 where 3 should follow 2$/m);
      expect(stdout).toMatch(/^verdict {7}2 damages$/m);
      expect(code).toBe(1);
    });

    test("finds one request that made two signals", async () => {
      await copyFilled();
      await change(
        "UPDATE @signals SET request_key = (SELECT request_key FROM @signals WHERE sequence = 2) WHERE sequence = 5",
      );
      const { damages } = await inspect(url);
      expect(damages).toContain('one request of "c" made both signal 2 and 5');
    });

    test("finds no store in an empty database, and makes none", async () => {
      const { code, stderr } = await run("doctor", "--store", url);
      expect(stderr).toMatch(
        /^coordination-server: store postgres:\S+ cannot be opened: the database holds no store: .*\n$/,
      );
      expect(code).toBe(1);
      expect(await queryOnce(url, "SELECT to_regnamespace('coordination_signals') AS schema")).toEqual([
        { schema: null },
      ]);
    });
  });

  describe("a reader", () => {
    test.each([
      [
        "a journal record",
        "DELETE FROM @journal WHERE kind = 4 OR kind = 7",
        'coordination "c" is damaged in the database: it has',
      ],
      [
        "a request",
        "DELETE FROM @signals WHERE sequence = 3",
        'coordination "c" is damaged in the database: it has 5 requests',
      ],
    ])("misses %s that vanished", async (_, statement, message) => {
      await copyFilled();
      const [{ epoch } = { epoch: "" }] = await epochs();
      await change(statement);
      const store = await openPostgresStore({ url, onWarning: () => undefined });
      const read = statement.includes("journal") ? store.load("c") : store.findRequests("c", epoch, ["sender\0r1"]);
      await expect(read).rejects.toMatchObject({ reason: "STORE_CORRUPT", message: expect.stringContaining(message) });
      await store.close();
    });
  });

  describe("restore", () => {
    test("of a copy renews the epochs: an old cursor is told, and everything is there", async () => {
      await copyFilled();
      const restored = await run("restore", "--store", url);
      expect(restored).toMatchObject({ code: 0, stderr: "" });
      expect(restored.stdout).toContain("1 coordinations, each with a new epoch");
      expect((await inspect(url)).damages).toEqual([]);
      await using again = await spawnServer(["--store", url]);
      await using client = createCoordinationClient({ baseUrl: again.url });
      const session = client.coordination("c", { agentId: "a" });
      const old = session.subscribe({ from: { cursor } });
      await expect(old[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: "EPOCH_CHANGED" });
      expect((await session.metrics()).headSequence).toBe(6n);
      expect(await session.dependencyResolved({ dependencyType: "model", dependencyId: "M5" })).toMatchObject({
        sequence: 7n,
      });
    });

    test("is refused while a server works on the database, and changes nothing", async () => {
      await using server = await spawnServer(["--store", url]);
      await fill(server);
      const before = await epochs();
      const refused = await run("restore", "--store", url);
      expect(refused.stderr).toMatch(/1 servers work on the database: stop them first/);
      expect(refused.code).toBe(1);
      expect(await epochs()).toEqual(before);
    });

    test("and backup say which tools of PostgreSQL do the rest", async () => {
      const backup = await run("backup", "somewhere", "--store", url);
      expect(backup.stderr).toMatch(
        /pg_dump, or pg_basebackup .* after a restore run: coordination-server restore --store postgres:/,
      );
      const restore = await run("restore", "somewhere", "--store", url);
      expect(restore.stderr).toMatch(
        /pg_restore; then run, without a directory: coordination-server restore --store postgres:/,
      );
      expect([backup.code, restore.code]).toEqual([1, 1]);
    });
  });
});
