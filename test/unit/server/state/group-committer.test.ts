import { describe, expect, test } from "@jest/globals";
import { maxQueuedOperations } from "../../../../server/src/model/limits.js";
import { openLmdbStore } from "../../../../server/src/store/lmdb/lmdb-signal-store.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { deferred } from "../../../support/deferred.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";
import { temporaryDirectory } from "../../../support/temporary-directory.js";

const observed = (options = {}): ObservedStore => new ObservedStore(new MemorySignalStore(), options);
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

/** Holds the store's next commit until `release`; those after it are not held. */
function holdNextCommit(store: ObservedStore): { readonly release: () => void } {
  const held = deferred();
  store.hooks.beforeCommit = () => {
    delete store.hooks.beforeCommit;
    return held.promise;
  };
  return { release: () => held.resolve() };
}

/** Fails the store's next commit; those after it succeed. */
function failNextCommit(store: ObservedStore, error: Error): void {
  store.hooks.beforeCommit = () => {
    delete store.hooks.beforeCommit;
    throw error;
  };
}

describe("GroupCommitter: order", () => {
  test("assigns consecutive sequences to concurrent sends, in the order of the calls", async () => {
    await using subject = new CoordinatorUnderTest();
    const stored = await Promise.all(times(500, () => subject.send()));
    expect(stored.map(({ sequence }) => Number(sequence))).toEqual(times(500, (index) => index + 1));
    expect(new Set(stored.map(({ signalId }) => signalId)).size).toBe(500);
  });

  test("keeps each coordination's sequences to itself", async () => {
    await using subject = new CoordinatorUnderTest();
    const ids = ["a", "b", "c"];
    const stored = await Promise.all(times(30, (index) => subject.send({ coordinationId: ids[index % 3] ?? "" })));
    for (const [at] of ids.entries()) {
      const own = stored.filter((_, index) => index % 3 === at).map(({ sequence }) => Number(sequence));
      expect(own).toEqual(times(10, (index) => index + 1));
    }
  });

  test("leaves nothing waiting that comes while it finds that nothing waits", async () => {
    await using subject = new CoordinatorUnderTest();
    let sent = 0;
    for (let steps = 0; steps < 25; steps++) {
      await subject.send();
      for (let step = 0; step < steps; step++) await Promise.resolve();
      await subject.send();
      sent += 2;
    }
    expect(await subject.header()).toMatchObject({ headSequence: BigInt(sent) });
  });

  test("leaves no trace of a refused signal between its neighbours", async () => {
    await using subject = new CoordinatorUnderTest();
    const outcomes = await subject.sendEach([{}, { recipientAgentIds: ["nobody"], requestId: "r" }, {}]);
    expect(outcomes.map(({ stored }) => stored?.sequence)).toEqual([1n, undefined, 2n]);
    expect(await subject.header()).toMatchObject({ headSequence: 2n, sentByType: [0, 0, 0, 0, 2] });
    const again = await subject.send({ requestId: "r" });
    expect(again).toMatchObject({ sequence: 3n, isDeduplicated: false });
  });
});

describe("GroupCommitter: group commit", () => {
  test("puts everything that waits into one commit", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    const first = holdNextCommit(store);
    const sends = times(200, (index) => subject.send({ coordinationId: `c${index % 10}` }));
    await settle();
    const late = times(300, () => subject.send());
    await settle();
    first.release();
    await Promise.all([...sends, ...late]);
    expect(store.counts.commits).toBeLessThanOrEqual(3);
    expect(store.counts.committedEntries).toBe(500);
  });

  test("puts what one turn of the event loop brings into one commit, however many steps lie between", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send();
    const { commits } = store.counts;
    const sends: Promise<unknown>[] = [];
    for (let index = 0; index < 64; index++) {
      sends.push(subject.send());
      // As calls that arrive together are read one after another.
      for (let step = 0; step < 20; step++) await Promise.resolve();
    }
    await Promise.all(sends);
    expect(store.counts.commits).toBe(commits + 1);
  });

  test("bounds one commit of a coordination at about 2,000 signals", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    const sizes: number[] = [];
    store.hooks.beforeCommit = ([part]) => {
      if (part?.action === "write") sizes.push(part.entries.length);
    };
    await Promise.all(times(7, () => subject.fill(900)));
    expect(Math.max(...sizes)).toBeLessThan(3_000);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(6_300);
  });

  test("commits nothing for what changes nothing", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send({ requestId: "r" });
    const { commits } = store.counts;
    await subject.send({ requestId: "r" });
    await expect(subject.send({ recipientAgentIds: ["nobody"] })).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
    expect(store.counts.commits).toBe(commits);
  });

  test("refuses what exceeds 10,000 waiting operations of a coordination, and takes more later", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    const first = holdNextCommit(store);
    const held = subject.send();
    await settle();
    const waiting = times(maxQueuedOperations, () => subject.send());
    await settle();
    await expect(subject.send()).rejects.toMatchObject({
      reason: "SEND_QUEUE_FULL",
      retryDelayMs: expect.any(Number),
    });
    const other = subject.send({ coordinationId: "other" });
    first.release();
    await Promise.all([held, other, ...waiting]);
    expect(await subject.send()).toMatchObject({ sequence: BigInt(maxQueuedOperations + 2) });
  });
});

describe("GroupCommitter: visibility", () => {
  test("shows nothing to anybody before the store has made it durable", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send();
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.until("caughtUp");
    const committed = deferred();
    store.hooks.afterCommit = () => committed.promise;
    let isAnswered = false;
    const sent = subject.send({
      event: { case: "dependencyResolved", value: { dependencyType: "t", dependencyId: "d" } },
    });
    void sent.then(() => {
      isAnswered = true;
    });
    const next = reader.next();
    let isDelivered = false;
    void next.then(() => {
      isDelivered = true;
    });
    await settle();
    expect({ isAnswered, isDelivered }).toEqual({ isAnswered: false, isDelivered: false });
    expect(await subject.header()).toMatchObject({ headSequence: 1n });
    expect((await subject.history()).entries).toHaveLength(1);
    const resolved = await subject.coordinator.look("c", ({ session }) => session.dependencies.size);
    expect(resolved).toBe(0);
    committed.resolve();
    await sent;
    await next;
    expect(reader.sequences).toEqual([1, 2]);
  });

  test("shows a signal to readers before its sender is answered", async () => {
    await using subject = new CoordinatorUnderTest();
    const { sequence } = await subject.send();
    expect((await subject.header()).headSequence).toBe(sequence);
    expect((await subject.history()).entries.map((entry) => entry.sequence)).toEqual([sequence]);
  });
});

describe("GroupCommitter: a store that fails", () => {
  const damage = new Error("no space left on device");
  const unavailable = { reason: "STORE_UNAVAILABLE", retryDelayMs: expect.any(Number) };

  test("rejects with STORE_UNAVAILABLE, shows nothing, and goes on where the store can", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send();
    failNextCommit(store, damage);
    await expect(subject.send({ requestId: "r" })).rejects.toMatchObject({ ...unavailable, cause: damage });
    expect(await subject.header()).toMatchObject({ headSequence: 1n });
    expect(await subject.send({ requestId: "r" })).toMatchObject({ sequence: 2n, isDeduplicated: false });
    expect(subject.fatals).toEqual([]);
  });

  test("says once that it is fatal where the process must stop, and takes nothing more", async () => {
    const store = observed({ failureIsFatal: true });
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send();
    failNextCommit(store, damage);
    const sends = [subject.send(), subject.send({ coordinationId: "other" })];
    for (const send of sends) await expect(send).rejects.toMatchObject(unavailable);
    expect(subject.fatals).toEqual([damage]);
    await expect(subject.send()).rejects.toMatchObject(unavailable);
    expect(subject.fatals).toEqual([damage]);
    expect(store.counts.commits).toBe(1);
  });

  test("commits nothing of what waited behind a fatal failure", async () => {
    const store = observed({ failureIsFatal: true });
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send();
    const failing = deferred();
    store.hooks.beforeCommit = async () => {
      delete store.hooks.beforeCommit;
      await failing.promise;
      throw damage;
    };
    const failed = subject.send();
    await settle();
    const waiting = [subject.send(), subject.send({ coordinationId: "other" })];
    await settle();
    failing.resolve();
    await expect(failed).rejects.toMatchObject(unavailable);
    for (const send of waiting) await expect(send).rejects.toMatchObject(unavailable);
    expect(store.counts.commits).toBe(1);
    expect(subject.fatals).toEqual([damage]);
  });

  test("rejects when the look-up of requests fails", async () => {
    const store = observed();
    await using subject = new CoordinatorUnderTest({ store });
    await subject.send();
    store.findRequests = () => Promise.reject(damage);
    await expect(subject.send({ requestId: "r" })).rejects.toMatchObject(unavailable);
    expect(await subject.send()).toMatchObject({ sequence: 2n });
  });
});

describe("GroupCommitter: how many coordinations may exist", () => {
  test("refuses to begin one more than the limit, counting those of the same commit", async () => {
    await using subject = new CoordinatorUnderTest({ maxCoordinations: 2 });
    const outcomes = await subject.sendEach(["a", "b", "x"].map((coordinationId) => ({ coordinationId })));
    expect(outcomes.map(({ stored }) => stored !== undefined)).toEqual([true, true, false]);
    expect(outcomes[2]?.error).toMatchObject({ reason: "TOO_MANY_COORDINATIONS", metadata: { limit: "2" } });
    await subject.coordinator.deleteCoordination("a");
    expect(await subject.send({ coordinationId: "x" })).toMatchObject({ sequence: 1n });
  });

  test("counts no coordination that did not begin after all", async () => {
    await using subject = new CoordinatorUnderTest({ maxCoordinations: 1 });
    const refused = subject.sendAtomically([{}, { recipientAgentIds: ["nobody"] }]);
    const others = [subject.send(), subject.send()];
    await expect(refused).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
    expect((await Promise.all(others)).map(({ sequence }) => sequence)).toEqual([1n, 2n]);
  });
});

describe("GroupCommitter: deletion", () => {
  test("runs what came before it, and begins anew with what came after it", async () => {
    await using subject = new CoordinatorUnderTest();
    const first = subject.send();
    const before = subject.send({ requestId: "r" });
    const deleted = subject.coordinator.deleteCoordination("c");
    const after = [subject.send({ requestId: "r" }), subject.send()];
    const [one, two] = [await first, await before];
    await deleted;
    const [three, four] = await Promise.all(after);
    expect([one.sequence, two.sequence, three?.sequence, four?.sequence]).toEqual([1n, 2n, 1n, 2n]);
    expect(three?.isDeduplicated).toBe(false);
    expect(three?.epoch).not.toBe(one.epoch);
  });

  test("of what does not exist is COORDINATION_NOT_FOUND", async () => {
    await using subject = new CoordinatorUnderTest();
    await expect(subject.coordinator.deleteCoordination("c")).rejects.toMatchObject({
      reason: "COORDINATION_NOT_FOUND",
    });
  });
});

describe("GroupCommitter on LMDB", () => {
  test("makes few commits of many concurrent sends", async () => {
    await using directory = await temporaryDirectory();
    const store = new ObservedStore(await openLmdbStore({ directory: directory.path }));
    await using subject = new CoordinatorUnderTest({ store });
    await Promise.all(times(64, () => times(20, () => subject.send())).flat());
    expect(store.counts.committedEntries).toBe(1_280);
    expect(store.counts.commits).toBeLessThanOrEqual(10);
  });
});
