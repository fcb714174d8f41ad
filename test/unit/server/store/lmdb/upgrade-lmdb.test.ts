import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { lmdbMaintenance } from "../../../../../server/src/store/lmdb/lmdb-maintenance.js";
import { ordinalPrefix, seal, space } from "../../../../../server/src/store/lmdb/lmdb-records.js";
import { openLmdbStore } from "../../../../../server/src/store/lmdb/lmdb-signal-store.js";
import { entryAt, headerOf } from "../../../../support/log-entries.js";
import { type OlderCoordination, writeOlderStore } from "../../../../support/older-lmdb-store.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const signals = 1_100;
const { epoch } = headerOf();
const records = [{ kind: "agent" as const, key: "a", value: Buffer.from("{}") }];
const garbage = ordinalPrefix(space.garbage, 9);

function coordination(coordinationId: string, count: number): OlderCoordination {
  const entries = Array.from({ length: count }, (_, index) =>
    entryAt(BigInt(index + 1), { coordinationId, requestId: index % 2 === 0 ? `r${index + 1}` : "" }),
  ).filter(({ sequence }) => sequence !== 7n);
  const removedRanges = count < 7 ? [] : [{ afterSequence: 6n, throughSequence: 7n, generation: 1 }];
  const header = headerOf({ coordinationId, headSequence: BigInt(count), closeReason: "x", removedRanges });
  return { header, entries, records };
}

describe("a store of layout 2", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let path: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, "store");
    const garbageRow = { key: garbage, value: seal(garbage, Buffer.of()) };
    await writeOlderStore(path, [coordination("c", signals), coordination("d", 3)], [garbageRow]);
  });
  afterEach(async () => directory[Symbol.asyncDispose]());

  test("is brought up to date when it is opened, with all that it holds", async () => {
    for (const _ of ["the first time", "again"]) {
      const store = await openLmdbStore({ directory: path });
      const expected = coordination("c", signals);
      const range = { coordinationId: "c", epoch, fromSequence: 0n, maxEntries: signals, maxBytes: 10_000_000 };
      const entries = await store.readForward(range);
      expect(entries.map(({ sequence }) => sequence)).toEqual(expected.entries.map(({ sequence }) => sequence));
      expect(entries.map(({ bytes }) => Buffer.from(bytes))).toEqual(
        expected.entries.map(({ bytes }) => Buffer.from(bytes)),
      );
      expect(await store.load("c")).toEqual({ header: expected.header, records });
      const found = await store.findRequests("c", epoch, ["sender\0r1099", "sender\0r1100"]);
      expect(found.map((entry) => entry?.sequence)).toEqual([1_099n, undefined]);
      expect((await store.list("", 9)).map(({ coordinationId }) => coordinationId)).toEqual(["c", "d"]);
      expect(store.count()).toBe(2);
      await store.close();
    }
    expect((await lmdbMaintenance(path).inspect(() => undefined)).damages).toEqual([]);
    expect((await readdir(path)).sort()).toEqual(["signals.mdb", "signals.mdb-lock", "signals.seal", "signals.wal"]);
  });

  test("is brought up to date by what was cut off before", async () => {
    mkdirSync(join(path, "upgrade"));
    writeFileSync(join(path, "upgrade", "signals.mdb"), "half");
    const store = await openLmdbStore({ directory: path });
    expect(store.count()).toBe(2);
    await store.close();
    expect(existsSync(join(path, "upgrade"))).toBe(false);
  });

  test("is not looked into before it is up to date, and its backups can be restored", async () => {
    const old = lmdbMaintenance(path);
    await expect(old.inspect(() => undefined)).rejects.toThrow("has an older layout: start the server on it once");
    const backup = join(directory.path, "backup");
    await old.backup(backup);
    const restored = join(directory.path, "restored");
    expect(await lmdbMaintenance(restored).restore(backup)).toBe(2);
    const { damages, coordinations } = await lmdbMaintenance(restored).inspect(() => undefined);
    expect(damages).toEqual([]);
    expect(coordinations.map(({ signalCount, epoch: renewed }) => [signalCount, renewed === epoch])).toEqual([
      [signals - 1, false],
      [3, false],
    ]);
  });
});
