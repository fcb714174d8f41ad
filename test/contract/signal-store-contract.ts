import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type {
  CoordinationHeader,
  JournalChange,
  JournalRange,
  JournalRecord,
  LogRange,
  SignalStore,
} from "../../server/src/store/signal-store.js";
import { entryAt, headerOf, PartWriter } from "../support/log-entries.js";

/** How a store is made for one test, and opened again where it lasts. */
export interface StoreUnderTest {
  open(): Promise<SignalStore>;
  /** Opens what `open` wrote, after it was closed; undefined for a store that does not last. */
  readonly reopen: (() => Promise<SignalStore>) | undefined;
  dispose(): Promise<void>;
}

const { epoch } = headerOf();
const range: LogRange = { coordinationId: "c", epoch, fromSequence: 0n, maxEntries: 1000, maxBytes: 1_000_000 };

/** What every store must do, whatever it is made of. */
export function describeSignalStore(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`SignalStore contract: ${name}`, () => {
    let subject: StoreUnderTest;
    let store: SignalStore;
    let writer: PartWriter;

    beforeEach(async () => {
      writer = new PartWriter();
      subject = await make();
      store = await subject.open();
    });

    afterEach(async () => {
      await store.close();
      await subject.dispose();
    });

    const fill = async (count: number, header: Partial<CoordinationHeader> = {}): Promise<void> => {
      const entries = Array.from({ length: count }, (_, index) =>
        entryAt(BigInt(index + 1), { requestId: `r${index + 1}` }),
      );
      await store.commit([writer.write(entries, header)]);
    };
    const forward = async (overrides: Partial<LogRange> = {}): Promise<number[]> =>
      (await store.readForward({ ...range, ...overrides })).map(({ sequence }) => Number(sequence));
    const backward = async (overrides: Partial<LogRange> = {}): Promise<number[]> =>
      (await store.readBackward({ ...range, ...overrides })).map(({ sequence }) => Number(sequence));

    test("knows nothing of a coordination that was never written", async () => {
      expect(await store.load("c")).toBeUndefined();
      expect(await forward()).toEqual([]);
      expect(await backward({ fromSequence: 9n })).toEqual([]);
      expect(await store.findRequests("c", epoch, ["sender\0r1"])).toEqual([undefined]);
      expect(await store.list("", 10)).toEqual([]);
      expect(store.count()).toBe(0);
    });

    test("loads the header and the journal as they were committed last", async () => {
      const value = (text: string): Uint8Array => Buffer.from(text);
      await store.commit([
        writer.write([entryAt(1n)], {}, { records: [{ kind: "agent", key: "a", value: value("1") }] }),
      ]);
      const records: JournalChange[] = [
        { kind: "agent", key: "a", value: value("2") },
        { kind: "dependency", key: "model\nUser", value: value("x") },
        { kind: "agent", key: "gone", value: undefined },
        { kind: "snapshot", key: "not resident", value: value("s") },
      ];
      await store.commit([writer.write([], { closeTimeMs: 5, closeReason: "done" }, { records })]);
      const loaded = await store.load("c");
      expect(loaded?.header).toEqual(
        headerOf({ headSequence: 1n, revision: 2n, commits: 2n, closeTimeMs: 5, closeReason: "done" }),
      );
      expect(textsOf(loaded?.records ?? []).sort()).toEqual([
        ["agent", "a", "2"],
        ["dependency", "model\nUser", "x"],
      ]);
    });

    test("reads entries after a sequence in order, with their bytes and identity", async () => {
      await fill(5);
      expect(await forward({ fromSequence: 2n })).toEqual([3, 4, 5]);
      const [third] = await store.readForward({ ...range, fromSequence: 2n });
      const written = entryAt(3n, { requestId: "r3" });
      expect(Buffer.from(third?.bytes ?? [])).toEqual(Buffer.from(written.bytes));
      expect(third?.signal).toEqual(written.signal);
      expect(third?.requestKey).toBe(written.requestKey);
    });

    test("reads entries before a sequence newest first", async () => {
      await fill(5);
      expect(await backward({ fromSequence: 4n })).toEqual([3, 2, 1]);
      expect(await backward({ fromSequence: 100n, maxEntries: 2 })).toEqual([5, 4]);
      expect(await backward({ fromSequence: 1n })).toEqual([]);
    });

    test("bounds a read by entries and by bytes, and always reads one", async () => {
      await fill(5);
      const sizes = (await store.readForward(range)).map(({ bytes }) => bytes.length);
      const three = sizes.slice(0, 3).reduce((sum, size) => sum + size, 0);
      expect(await forward({ maxEntries: 2 })).toEqual([1, 2]);
      expect(await forward({ maxBytes: three })).toEqual([1, 2, 3]);
      expect(await forward({ maxBytes: 1 })).toEqual([1]);
      expect(await backward({ fromSequence: 9n, maxBytes: 1 })).toEqual([5]);
    });

    test("does not mix up coordinations whose names begin alike", async () => {
      await fill(2);
      await store.commit([writer.write([entryAt(1n)], { coordinationId: "c1" })]);
      await store.commit([writer.write([entryAt(1n), entryAt(2n), entryAt(3n)], { coordinationId: "c:" })]);
      expect(await forward()).toEqual([1, 2]);
      expect(await forward({ coordinationId: "c1" })).toEqual([1]);
      expect((await store.list("", 10)).map(({ coordinationId }) => coordinationId)).toEqual(["c", "c1", "c:"]);
      expect(store.count()).toBe(3);
    });

    test("changes several coordinations in one commit", async () => {
      const part = (coordinationId: string) => writer.write([entryAt(1n)], { coordinationId });
      await store.commit([part("a"), part("b"), part("c")]);
      await store.commit([writer.remove("b"), part("d")]);
      expect((await store.list("", 10)).map(({ coordinationId }) => coordinationId)).toEqual(["a", "c", "d"]);
      expect(store.count()).toBe(3);
    });

    test("lists by name after a name, so many", async () => {
      await store.commit(["x", "y", "z"].map((coordinationId) => writer.write([], { coordinationId })));
      const names = async (after: string, limit: number): Promise<string[]> =>
        (await store.list(after, limit)).map(({ coordinationId }) => coordinationId);
      expect(await names("", 2)).toEqual(["x", "y"]);
      expect(await names("y", 2)).toEqual(["z"]);
      expect(await names("z", 2)).toEqual([]);
    });

    test("finds the entry that a request made", async () => {
      await fill(3);
      const keyOf = (requestId: string): string => entryAt(1n, { requestId }).requestKey ?? "";
      const found = await store.findRequests("c", epoch, [keyOf("r2"), keyOf("r9"), keyOf("r3")]);
      expect(found.map((entry) => entry?.sequence)).toEqual([2n, undefined, 3n]);
    });

    test("removes entries and requests through the trimmed sequence", async () => {
      await fill(10);
      await store.commit([writer.write([entryAt(11n)], { oldestSequence: 8n, trimmedThroughSequence: 4n })]);
      expect(await forward()).toEqual([5, 6, 7, 8, 9, 10, 11]);
      const keys = ["r4", "r5"].map((requestId) => entryAt(1n, { requestId }).requestKey ?? "");
      const found = await store.findRequests("c", epoch, keys);
      expect(found.map((entry) => entry?.sequence)).toEqual([undefined, 5n]);
    });

    test("keeps a request that was made again after its first signal left the history", async () => {
      const again = (sequence: bigint) => entryAt(sequence, { requestId: "again" });
      await store.commit([writer.write([again(1n)])]);
      await store.commit([writer.write([entryAt(2n), again(3n)], { oldestSequence: 3n })]);
      await store.commit([writer.write([entryAt(4n)], { trimmedThroughSequence: 2n })]);
      const key = again(1n).requestKey ?? "";
      expect((await store.findRequests("c", epoch, [key]))[0]?.sequence).toBe(3n);
    });

    test("takes entries after a sequence out, with their requests, before it adds new ones", async () => {
      await fill(6);
      const again = entryAt(7n, { requestId: "r5" });
      const removed = { afterSequence: 3n, throughSequence: 6n, generation: 1 };
      const header = { headSequence: 7n, generation: 1, removedRanges: [removed] };
      await store.commit([writer.write([again], header, { removeAfterSequence: 3n })]);
      expect(await forward()).toEqual([1, 2, 3, 7]);
      expect(await backward({ fromSequence: 9n })).toEqual([7, 3, 2, 1]);
      const keys = ["r5", "r6"].map((requestId) => entryAt(1n, { requestId }).requestKey ?? "");
      expect((await store.findRequests("c", epoch, keys)).map((entry) => entry?.sequence)).toEqual([7n, undefined]);
      expect((await store.load("c"))?.header.removedRanges).toEqual([removed]);
    });

    test("reads a kind of the journal by key, in both directions, from behind a key", async () => {
      const record = (kind: "audit" | "snapshot", key: string) => ({ kind, key, value: Buffer.from(key) });
      const records = [record("audit", "b"), record("snapshot", "x"), record("audit", "a"), record("audit", "c")];
      await store.commit([writer.write([], {}, { records })]);
      const read = async (rest: Partial<JournalRange>): Promise<string[]> => {
        const range = { coordinationId: "c", epoch, kind: "audit" as const, limit: 10, ...rest };
        return (await store.readJournal(range)).map(({ key }) => key);
      };
      expect(await read({})).toEqual(["a", "b", "c"]);
      expect(await read({ fromKey: "a" })).toEqual(["b", "c"]);
      expect(await read({ descending: true, limit: 2 })).toEqual(["c", "b"]);
      expect(await read({ descending: true, fromKey: "b" })).toEqual(["a"]);
      expect(await read({ kind: "snapshot" })).toEqual(["x"]);
      expect(await read({ epoch: "01890000-0000-7000-8000-00000000ffff" })).toEqual([]);
      await store.commit([writer.write([], {}, { trimRecords: { kind: "audit", beforeKey: "c" } })]);
      expect(await read({})).toEqual(["c"]);
      expect(await read({ kind: "snapshot" })).toEqual(["x"]);
    });

    test("removes a coordination whole, and begins again with nothing of it", async () => {
      await fill(3);
      await store.commit([writer.remove("c")]);
      expect(await store.load("c")).toBeUndefined();
      expect(await forward()).toEqual([]);
      const nextEpoch = "01890000-0000-7000-8000-000000000002";
      await store.commit([writer.write([entryAt(1n)], { epoch: nextEpoch })]);
      expect(await forward()).toEqual([]);
      expect(await forward({ epoch: nextEpoch })).toEqual([1]);
      const key = entryAt(1n, { requestId: "r2" }).requestKey ?? "";
      expect(await store.findRequests("c", nextEpoch, [key])).toEqual([undefined]);
      expect((await store.load("c"))?.records).toEqual([]);
    });

    test("removes what does not exist without a word", async () => {
      await store.commit([writer.remove("nobody")]);
      expect(store.count()).toBe(0);
    });

    test("holds what was committed after it was closed and opened again", async () => {
      if (subject.reopen === undefined) {
        expect(store.isDurable).toBe(false);
        return;
      }
      await fill(4);
      await store.commit([writer.write([], { coordinationId: "other" }), writer.write([], { closeReason: "x" })]);
      await store.close();
      store = await subject.reopen();
      expect((await store.load("c"))?.header).toEqual(writer.header("c"));
      expect(await forward()).toEqual([1, 2, 3, 4]);
      expect(store.count()).toBe(2);
    });
  });
}

function textsOf(records: readonly JournalRecord[]): string[][] {
  return records.map(({ kind, key, value }) => [kind, key, Buffer.from(value).toString()]);
}
