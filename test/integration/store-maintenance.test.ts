import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createCoordinationClient, OutOfRangeError } from "../../client-sdk/src/index.js";
import { runCommand } from "../support/run-command.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";

const bin = join(import.meta.dirname, "..", "..", "server", "bin", "coordination-server.js");

describe("work on a store", () => {
  let directory: string;
  let store: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "coordination-maintenance-"));
    store = `lmdb:${join(directory, "store")}`;
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  const run = (...args: string[]) => runCommand({ args: [bin, ...args] });

  const withServer = async <T>(url: string, use: (server: SpawnedServer) => Promise<T>): Promise<T> => {
    const server = await spawnServer(["--store", url]);
    try {
      return await use(server);
    } finally {
      await server.stop();
    }
  };

  const fill = async (server: SpawnedServer): Promise<string> => {
    const client = createCoordinationClient({ baseUrl: server.url });
    const session = client.coordination("c", { agentId: "a" });
    await session.initialized({ ready: true });
    for (let i = 0; i < 5; i++) await session.dependencyResolved({ dependencyType: "model", dependencyId: `M${i}` });
    const subscription = session.subscribe({ from: "earliest", includeOwn: true });
    let cursor = "";
    for await (const signal of subscription) {
      cursor = subscription.cursor ?? "";
      if (signal.sequence === 6n) break;
    }
    await client.close();
    return cursor;
  };

  test("doctor finds a store sound, beside its server and after it", async () => {
    await withServer(store, async (server) => {
      await fill(server);
      const beside = await run("doctor", "--store", store);
      expect(beside.stdout).toContain("verdict       sound");
      expect(beside.code).toBe(0);
    });
    const after = await run("doctor", "--store", store, "--json");
    expect(JSON.parse(after.stdout)).toMatchObject({
      damages: [],
      coordinations: [{ coordinationId: "c", headSequence: "6", oldestSequence: "1", signalCount: 6 }],
    });
  });

  test("doctor names a damaged row and ends with 1", async () => {
    await withServer(store, fill);
    const path = join(directory, "store", "signals.mdb");
    const { size } = await stat(path);
    const file = await open(path, "r+");
    const bytes = Buffer.alloc(size);
    await file.read(bytes, 0, size, 0);
    // Every copy of the text: LMDB keeps pages of earlier versions, and only one of them is in use.
    for (let at = bytes.indexOf("M3"); at !== -1; at = bytes.indexOf("M3", at + 1)) await file.write("m", at);
    await file.close();
    const damaged = await run("doctor", "--store", store);
    expect(damaged.stdout).toMatch(/damage +row [0-9a-f]+ of the store is damaged: its checksum does not fit/);
    expect(damaged.code).toBe(1);
  });

  test("a restored backup holds everything, and an old cursor is told that the epoch changed", async () => {
    const backup = join(directory, "backup");
    const restored = `lmdb:${join(directory, "restored")}`;
    const cursor = await withServer(store, async (server) => {
      const end = await fill(server);
      expect((await run("backup", backup, "--store", store)).code).toBe(0);
      return end;
    });
    expect((await run("restore", backup, "--store", restored)).code).toBe(0);
    expect((await run("doctor", "--store", restored)).stdout).toContain("verdict       sound");
    await withServer(restored, async (server) => {
      const client = createCoordinationClient({ baseUrl: server.url });
      const session = client.coordination("c");
      expect((await session.metrics()).headSequence).toBe(6n);
      const old = session.subscribe({ from: { cursor } });
      await expect(old[Symbol.asyncIterator]().next()).rejects.toThrow(OutOfRangeError);
      await client.close();
    });
  });

  test("a wrong place is one clear line and changes nothing", async () => {
    const nothing = await run("doctor", "--store", `lmdb:${join(directory, "none")}`);
    expect(nothing.stderr).toContain("holds no store");
    expect(nothing.code).toBe(1);
    await withServer(store, fill);
    const taken = await run("restore", join(directory, "store"), "--store", store);
    expect(taken.stderr).toContain("is not empty");
    expect(taken.code).toBe(1);
    const wrong = await run("backup");
    expect(wrong.stderr).toContain("missing required argument 'directory'");
    expect(wrong.code).toBe(2);
  });
});
