import { afterAll, afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { openPostgresStore } from "../../server/src/store/postgres/open-postgres-store.js";
import type {
  CommitPart,
  CoordinationHeader,
  JournalChange,
  KnownCoordination,
  SharedStore,
  SignalStore,
} from "../../server/src/store/signal-store.js";
import { deferred } from "../support/deferred.js";
import { eventually } from "../support/eventually.js";
import { entryAt, headerOf, PartWriter } from "../support/log-entries.js";
import { openTestPostgres, queryOnce } from "../support/test-postgres.js";

const postgres = await openTestPostgres();
const { epoch } = headerOf();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

(postgres === undefined ? describe.skip : describe)("PostgreSQL, shared by servers", () => {
  let url: string;
  let stores: SignalStore[];
  let a: SignalStore & { readonly shared: SharedStore };
  let b: SignalStore & { readonly shared: SharedStore };
  let writer: PartWriter;

  const openStore = async (): Promise<SignalStore & { readonly shared: SharedStore }> => {
    const store = await openPostgresStore({ url, onWarning: () => undefined });
    stores.push(store);
    const { shared } = store;
    if (shared === undefined) throw new Error("the store is not shared");
    return Object.assign(store, { shared });
  };
  const knownOf = (header: CoordinationHeader | undefined, coordinationId = "c"): KnownCoordination => ({
    coordinationId,
    version: header && { epoch: header.epoch, commits: header.commits },
    headSequence: header?.headSequence ?? 0n,
  });
  const known = (): KnownCoordination => knownOf(writer.header("c"));
  const agent = (key: string, value: string | undefined): JournalChange => ({
    kind: "agent",
    key,
    value: value === undefined ? undefined : Buffer.from(value),
  });
  const textsOf = (records: readonly JournalChange[] | undefined) =>
    (records ?? []).map(({ key, value }) => [key, value && Buffer.from(value).toString()]).sort();

  beforeEach(async () => {
    url = (await postgres?.createDatabase()) ?? "";
    stores = [];
    writer = new PartWriter();
    [a, b] = await Promise.all([openStore(), openStore()]);
  });

  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()));
  });

  describe("commit", () => {
    test("writes what builds on the present version, and nothing of what does not", async () => {
      const other = new PartWriter();
      const begun = writer.write([entryAt(1n, { requestId: "r1" })]);
      other.write([entryAt(1n)]);
      expect(await a.commit([begun])).toEqual(["committed"]);
      const second = writer.write([entryAt(2n, { requestId: "r2" })], {}, { records: [agent("x", "a")] });
      const late = other.write(
        [entryAt(2n, { requestId: "late" })],
        {},
        { records: [agent("x", "b"), agent("y", "b")] },
      );
      expect(await a.commit([second])).toEqual(["committed"]);
      expect(await b.commit([late])).toEqual(["conflict"]);
      const loaded = await b.load("c");
      expect(loaded?.header).toEqual(second.header);
      expect(textsOf(loaded?.records)).toEqual([["x", "a"]]);
      const key = entryAt(2n, { requestId: "late" }).requestKey ?? "";
      expect(await b.findRequests("c", epoch, [key])).toEqual([undefined]);
    });

    test("writes nothing of a part that took a known request for a new one, and all of the others", async () => {
      const entry = (sequence: bigint, requestId: string) => entryAt(sequence, { requestId });
      await a.commit(["c", "d"].map((coordinationId) => writer.write([entry(1n, "r1")], { coordinationId })));
      const assuming = { assumesNewRequests: true } as const;
      const repeating = { ...writer.write([entry(2n, "r2"), entry(3n, "r1")]), ...assuming };
      const fresh = { ...writer.write([entry(2n, "r3")], { coordinationId: "d" }), ...assuming };
      expect(await b.commit([repeating, fresh])).toEqual(["repeated", "committed"]);
      expect((await b.load("c"))?.header.headSequence).toBe(1n);
      const range = { coordinationId: "c", epoch, fromSequence: 0n, maxEntries: 9, maxBytes: 999 };
      expect(await b.readForward(range)).toHaveLength(1);
      expect((await b.load("d"))?.header.headSequence).toBe(2n);
    });

    test("lets one of two servers begin a coordination", async () => {
      const parts = ["1", "2"].map((digit) =>
        new PartWriter().write([entryAt(1n)], { epoch: `01890000-0000-7000-8000-00000000000${digit}` }),
      );
      const outcomes = await Promise.all(parts.map((part, index) => (index === 0 ? a : b).commit([part])));
      expect(outcomes.flat().sort()).toEqual(["committed", "conflict"]);
      const winner = parts[outcomes.findIndex(([outcome]) => outcome === "committed")];
      expect((await a.load("c"))?.header).toEqual(winner?.header);
      await eventually(() => expect([a.count() + b.count(), a.count()]).toContain(1));
    });

    test("removes only the version it was told of", async () => {
      await a.commit([writer.write([entryAt(1n)])]);
      const removal: CommitPart = { action: "remove", coordinationId: "c", expected: { epoch, commits: 0n } };
      expect(await b.commit([removal])).toEqual(["conflict"]);
      expect(await b.commit([writer.remove("c")])).toEqual(["committed"]);
      expect(await a.load("c")).toBeUndefined();
    });

    test("decides for each coordination of a commit by itself", async () => {
      const part = (coordinationId: string) => writer.write([entryAt(1n)], { coordinationId });
      const stale = new PartWriter();
      stale.write([], { coordinationId: "b" });
      await a.commit([part("a"), part("b"), part("c")]);
      await a.commit([writer.write([], { coordinationId: "b" })]);
      const outcomes = await b.commit([
        writer.write([entryAt(2n)], { coordinationId: "a" }),
        stale.write([entryAt(2n)], { coordinationId: "b" }),
        writer.remove("c"),
        part("d"),
      ]);
      expect(outcomes).toEqual(["committed", "conflict", "committed", "committed"]);
      const heads = (await a.list("", 10)).map(({ coordinationId, headSequence }) => [coordinationId, headSequence]);
      expect(heads).toEqual([
        ["a", 2n],
        ["b", 1n],
        ["d", 1n],
      ]);
    });

    test("takes more coordinations than one statement does", async () => {
      const ids = Array.from({ length: 150 }, (_, index) => `c${String(index).padStart(3, "0")}`);
      const begin = ids.map((coordinationId) => writer.write([entryAt(1n)], { coordinationId }));
      expect(new Set(await a.commit(begin))).toEqual(new Set(["committed"]));
      const stale = new PartWriter();
      for (const coordinationId of ids) stale.write([], { coordinationId });
      await b.commit([writer.write([], { coordinationId: "c140" })]);
      const outcomes = await a.commit(ids.map((coordinationId) => stale.write([entryAt(2n)], { coordinationId })));
      expect(outcomes.flatMap((outcome, index) => (outcome === "conflict" ? index : []))).toEqual([140]);
      expect(a.count()).toBe(150);
    });

    test("writes the last of several changes of one record", async () => {
      await a.commit([writer.write([], {}, { records: [agent("x", "1"), agent("y", "1"), agent("x", undefined)] })]);
      expect(textsOf((await b.load("c"))?.records)).toEqual([["y", "1"]]);
    });

    test("tells a sequence that is taken already for damage", async () => {
      await a.commit([writer.write([entryAt(1n)])]);
      await expect(a.commit([writer.write([entryAt(1n)])])).rejects.toMatchObject({ reason: "STORE_CORRUPT" });
    });
  });

  describe("findChanged", () => {
    test("names those that are another version, began or are gone", async () => {
      const header = (coordinationId: string) => writer.header(coordinationId);
      await a.commit(["same", "moved", "gone"].map((coordinationId) => writer.write([], { coordinationId })));
      const before = ["same", "moved", "gone", "new", "never"].map((id) => knownOf(header(id), id));
      expect(await b.shared.findChanged(before)).toEqual([]);
      await a.commit([
        writer.write([], { coordinationId: "moved" }),
        writer.remove("gone"),
        writer.write([], { coordinationId: "new" }),
      ]);
      expect([...(await b.shared.findChanged(before))].sort()).toEqual(["gone", "moved", "new"]);
    });
  });

  describe("changesSince", () => {
    test("reads nothing where nothing has changed", async () => {
      expect(await b.shared.changesSince(knownOf(undefined))).toBeUndefined();
      await a.commit([writer.write([entryAt(1n)])]);
      expect(await b.shared.changesSince(known())).toBeUndefined();
    });

    test("reads the new header, the entries after the head, and the records that changed", async () => {
      await a.commit([writer.write([entryAt(1n)], {}, { records: [agent("kept", "1"), agent("gone", "1")] })]);
      const before = known();
      await a.commit([writer.write([entryAt(2n)], {}, { records: [agent("gone", undefined), agent("new", "2")] })]);
      await a.commit([
        writer.write([entryAt(3n)], {}, { records: [{ kind: "audit", key: "a", value: Buffer.of(1) }] }),
      ]);
      const changes = await b.shared.changesSince(before);
      expect(changes?.header).toEqual(writer.header("c"));
      expect(changes?.entries?.map(({ sequence }) => sequence)).toEqual([2n, 3n]);
      expect(changes?.recordsAreAll).toBe(false);
      expect(textsOf(changes?.records)).toEqual([
        ["gone", undefined],
        ["new", "2"],
      ]);
    });

    test("reads all records of another incarnation, and that a coordination is gone", async () => {
      await a.commit([writer.write([entryAt(1n)], {}, { records: [agent("x", "1")] })]);
      const before = known();
      await a.commit([writer.remove("c")]);
      expect(await b.shared.changesSince(before)).toMatchObject({
        header: undefined,
        records: [],
        recordsAreAll: true,
      });
      const next = { epoch: "01890000-0000-7000-8000-000000000002" };
      await a.commit([writer.write([entryAt(1n)], next, { records: [agent("y", "2")] })]);
      const changes = await b.shared.changesSince(before);
      expect(changes).toMatchObject({ header: next, entries: undefined, recordsAreAll: true });
      expect(textsOf(changes?.records)).toEqual([["y", "2"]]);
    });

    test("leaves out entries where they are more than 1,000, more than 1 MiB, or do not follow the head", async () => {
      const text = (message: string) => ({ event: { case: "interAgentMessage" as const, value: { message } } });
      await a.commit([writer.write([])]);
      const atStart = known();
      const entries = Array.from({ length: 1_001 }, (_, index) => entryAt(BigInt(index + 1)));
      await a.commit([writer.write(entries)]);
      expect(await b.shared.changesSince(atStart)).toMatchObject({ entries: undefined, recordsAreAll: false });
      const filled = known();
      const large = Array.from({ length: 6 }, (_, index) => entryAt(BigInt(1_002 + index), text("x".repeat(200_000))));
      await a.commit([writer.write(large)]);
      expect(await b.shared.changesSince(filled)).toMatchObject({ entries: undefined });
      const beforeTrim = known();
      await a.commit([writer.write([entryAt(1_008n), entryAt(1_009n)])]);
      await a.commit([writer.write([], { oldestSequence: 1_009n, trimmedThroughSequence: 1_008n })]);
      expect(await b.shared.changesSince(beforeTrim)).toMatchObject({ entries: undefined });
    });

    test("reads all records where removals that are not known were forgotten", async () => {
      await a.commit([writer.write([], {}, { records: [agent("kept", "1"), agent("gone", "1")] })]);
      const before = known();
      await a.commit([writer.write([], {}, { records: [agent("gone", undefined)] })]);
      const after = known();
      await a.commit([writer.write([])]);
      // Housekeeping comes by itself; only the time that it waits for is made to have passed.
      await queryOnce(
        url,
        "UPDATE coordination_signals.journal SET remove_time = now() - interval '11 minutes' WHERE value IS NULL",
      );
      await eventually(async () => {
        const changes = await b.shared.changesSince(before);
        expect(changes?.recordsAreAll).toBe(true);
        expect(textsOf(changes?.records)).toEqual([["kept", "1"]]);
      });
      expect(await b.shared.changesSince(after)).toMatchObject({ recordsAreAll: false, records: [] });
    });

    test("tells a database that was set back for damage", async () => {
      await a.commit([writer.write([entryAt(1n)])]);
      const [row] = await queryOnce<{ header: string; checksum: string }>(
        url,
        "SELECT header, checksum FROM coordination_signals.coordinations",
      );
      await a.commit([writer.write([entryAt(2n)])]);
      await queryOnce(url, "UPDATE coordination_signals.coordinations SET commits = 1, header = $1, checksum = $2", [
        row?.header,
        row?.checksum,
      ]);
      await expect(b.shared.changesSince(known())).rejects.toMatchObject({ reason: "STORE_CORRUPT" });
    });
  });

  describe("commitLocked", () => {
    test("hands over what has changed, and keeps other servers away until it is done", async () => {
      await a.commit([writer.write([entryAt(1n)], {}, { records: [agent("x", "1")] })]);
      const stale = knownOf(headerOf({ commits: 0n }));
      const built = deferred();
      const building = deferred();
      const locked = b.shared.commitLocked([stale], async (changes) => {
        expect(changes.get("c")?.header).toEqual(headerOf({ headSequence: 1n }));
        building.resolve();
        await built.promise;
        return [writer.write([entryAt(2n)])];
      });
      await building.promise;
      const other = new PartWriter();
      other.write([entryAt(1n)]);
      const meanwhile = other.write([entryAt(2n)]);
      expect(await a.commit([meanwhile])).toEqual(["conflict"]);
      built.resolve();
      expect(await locked).toEqual(["committed"]);
      expect((await a.load("c"))?.header).toEqual(writer.header("c"));
    });

    test("hands over nothing where nothing has changed, and commits nothing where there is nothing", async () => {
      await a.commit([writer.write([entryAt(1n)])]);
      let handed = -1;
      const outcomes = await b.shared.commitLocked([known()], async (changes) => {
        handed = changes.size;
        return [];
      });
      expect({ handed, outcomes }).toEqual({ handed: 0, outcomes: [] });
    });

    test("leaves no trace when what builds the parts throws", async () => {
      await a.commit([writer.write([entryAt(1n)])]);
      const failure = b.shared.commitLocked([known()], () => Promise.reject(new Error("no parts today")));
      await expect(failure).rejects.toMatchObject({
        reason: "STORE_UNAVAILABLE",
        cause: { message: "no parts today" },
      });
      expect(await a.commit([writer.write([entryAt(2n)])])).toEqual(["committed"]);
    });

    test("of a server that falls silent in the middle is undone, and its place taken", async () => {
      await a.commit([writer.write([entryAt(1n)])]);
      const release = deferred();
      const locked = deferred();
      const silent = b.shared.commitLocked([known()], async () => {
        locked.resolve();
        await release.promise;
        return [new PartWriter().write([entryAt(9n)])];
      });
      const failed = expect(silent).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
      await locked.promise;
      expect(await a.shared.commitLocked([known()], async () => [writer.write([entryAt(2n)])])).toEqual(["committed"]);
      release.resolve();
      await failed;
      expect((await a.load("c"))?.header.headSequence).toBe(2n);
    });
  });

  describe("watch", () => {
    test("tells of what another server changed, and not of what this one did", async () => {
      const told: string[][] = [];
      const current = () => ["c", "d"].map((id) => knownOf(writer.header(id), id));
      b.shared.watch(current, (ids) => told.push([...ids]));
      await a.commit([writer.write([])]);
      await eventually(() => expect(told.flat()).toContain("c"));
      told.length = 0;
      await b.commit([writer.write([], { coordinationId: "d" })]);
      const before = knownOf(writer.header("c"));
      await a.commit([writer.write([entryAt(1n)])]);
      await eventually(() => expect(told).toContainEqual(["c"]));
      expect(told.flat()).not.toContain("d");
      expect(await b.shared.findChanged([before])).toEqual(["c"]);
    });

    test("finds by looking what no hint told of", async () => {
      await a.commit([writer.write([])]);
      const stale = known();
      const told = deferred<readonly string[]>();
      await a.commit([writer.write([])]);
      b.shared.watch(() => [stale], told.resolve);
      expect(await told.promise).toEqual(["c"]);
    });

    test("looks at every one of many in turn", async () => {
      const ids = Array.from({ length: 2_500 }, (_, index) => `w${index}`);
      for (let start = 0; start < ids.length; start += 500) {
        await a.commit(ids.slice(start, start + 500).map((id) => writer.write([], { coordinationId: id })));
      }
      const last = ids.at(-1) ?? "";
      const stale = ids.map((id) => knownOf(writer.header(id), id));
      await a.commit([writer.write([], { coordinationId: last })]);
      const told: (readonly string[])[] = [];
      b.shared.watch(
        () => stale,
        (found) => told.push(found),
      );
      // A hint that comes late tells of it once at the most, perhaps with others; looking finds it alone, and again and again.
      await eventually(() => expect(told.filter((found) => found.join() === last).length).toBeGreaterThan(1));
    });
  });

  describe("serverSlot", () => {
    test("is another one for each server, and used again", async () => {
      const slots = [a.shared.serverSlot, b.shared.serverSlot];
      expect([...slots].sort()).toEqual([0, 1]);
      await a.close();
      stores.splice(stores.indexOf(a), 1);
      const c = await openStore();
      expect(c.shared.serverSlot).toBe(slots[0]);
      const d = await openStore();
      expect(d.shared.serverSlot).toBe(2);
    });
  });

  describe("housekeeping", () => {
    test("sweeps what belonged to removed coordinations, and nothing else", async () => {
      const entries = Array.from({ length: 2_500 }, (_, index) => entryAt(BigInt(index + 1)));
      await a.commit([writer.write(entries, {}, { records: [agent("x", "1")] })]);
      await a.commit([writer.write([entryAt(1n)], { coordinationId: "kept" }, { records: [agent("y", "1")] })]);
      await a.commit([writer.remove("c")]);
      await eventually(async () => {
        const [left] = await queryOnce(
          url,
          `SELECT (SELECT count(*)::int FROM coordination_signals.signals) AS signals,
            (SELECT count(*)::int FROM coordination_signals.journal) AS records,
            (SELECT count(*)::int FROM coordination_signals.garbage) AS garbage`,
        );
        expect(left).toEqual({ signals: 1, records: 1, garbage: 0 });
      });
      expect(
        await b.readForward({ coordinationId: "kept", epoch, fromSequence: 0n, maxEntries: 9, maxBytes: 9 }),
      ).toHaveLength(1);
    });

    test("learns how many coordinations the other servers began", async () => {
      await a.commit(["x", "y"].map((coordinationId) => writer.write([], { coordinationId })));
      await eventually(() => expect(b.count()).toBe(2));
    });
  });

  describe("damage", () => {
    const corrupt = { reason: "STORE_CORRUPT" };

    test.each([
      ["a header", "UPDATE coordination_signals.coordinations SET header = replace(header, 'open', 'shut')", "load"],
      ["a header's row", "UPDATE coordination_signals.coordinations SET commits = commits + 1", "load"],
      [
        "a signal",
        "UPDATE coordination_signals.signals SET bytes = set_byte(bytes, 9, get_byte(bytes, 9) # 1)",
        "readForward",
      ],
      ["a signal's place", "UPDATE coordination_signals.signals SET sequence = sequence + 1", "readBackward"],
      [
        "what a request made",
        "UPDATE coordination_signals.signals SET bytes = set_byte(bytes, 9, get_byte(bytes, 9) # 1)",
        "findRequests",
      ],
      [
        "a record",
        "UPDATE coordination_signals.journal SET value = set_byte(value, 0, get_byte(value, 0) # 1)",
        "load",
      ],
      ["a record's key", "UPDATE coordination_signals.journal SET key = 'z'", "readJournal"],
      ["a record's kind", "UPDATE coordination_signals.journal SET kind = 2", "load"],
    ] as const)("in %s is found when it is read", async (_, statement, reader) => {
      const entry = entryAt(1n, { requestId: "r" });
      await a.commit([writer.write([entry], { closeReason: "open" }, { records: [agent("x", "value")] })]);
      await queryOnce(url, statement);
      const range = { coordinationId: "c", epoch, fromSequence: 0n, maxEntries: 9, maxBytes: 999 };
      const readers = {
        load: () => b.load("c"),
        readForward: () => b.readForward(range),
        readBackward: () => b.readBackward({ ...range, fromSequence: 9n }),
        findRequests: () => b.findRequests("c", epoch, [entry.requestKey ?? ""]),
        readJournal: () => b.readJournal({ coordinationId: "c", epoch, kind: "agent", limit: 9 }),
      };
      await expect(readers[reader]()).rejects.toMatchObject(corrupt);
    });
  });
});
