import { afterEach, describe, expect, test } from "@jest/globals";
import { MetricsCollector } from "../../../../server/src/metrics/metrics-collector.js";
import { prepareSignal } from "../../../../server/src/model/prepare-signals.js";
import { registerAgent } from "../../../../server/src/registry/agent-registry.js";
import type { Draft } from "../../../../server/src/state/draft.js";
import { GroupCommitter } from "../../../../server/src/state/group-committer.js";
import type { Operation } from "../../../../server/src/state/operation.js";
import { SessionDirectory } from "../../../../server/src/state/session-directory.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { deferred } from "../../../support/deferred.js";
import { messageRequest } from "../../../support/log-entries.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { ObservedStore } from "../../../support/observed-store.js";

const open: SessionDirectory[] = [];

afterEach(async () => {
  for (const directory of open.splice(0)) await directory.close();
});

function openDirectory({ maxIdleSessions = 10, store = new ObservedStore(new MemorySignalStore()) } = {}) {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  const metrics = new MetricsCollector({ processMetrics: false });
  const committer = new GroupCommitter({
    store,
    clock,
    metrics,
    retentionSignals: 100,
    maxCoordinations: 1_000,
    onApplied: () => undefined,
  });
  const directory = new SessionDirectory({
    store,
    committer,
    clock,
    metrics,
    maxIdleSessions,
    flushIntervalMs: 3_600_000,
    onFlushFailed: (error) => failures.push(error),
  });
  open.push(directory);
  return { directory, store, clock, failures };
}

function operation<T>(run: (draft: Draft) => T): Operation<T> {
  return { requestKeys: [], signalCount: 1, run };
}

const appendOne = operation((draft) => draft.append(prepareSignal(messageRequest())).sequence);

const register = (leaseMs: number) =>
  operation((draft) =>
    registerAgent(draft, { agentId: "agent", capabilities: [], provides: [], metadata: {}, leaseMs }),
  );

describe("SessionDirectory: one state for all", () => {
  test("loads a coordination once for all who want it at the same time", async () => {
    const { directory, store } = openDirectory();
    const sessions = await Promise.all([1, 2, 3].map(() => directory.pin("c")));
    expect(new Set(sessions).size).toBe(1);
    expect(store.counts.loads).toBe(1);
    for (const session of sessions) directory.unpin(session);
  });

  test("keeps what is pinned, whatever else comes", async () => {
    const { directory } = openDirectory({ maxIdleSessions: 1 });
    const pinned = await directory.pin("pinned");
    for (const id of ["a", "b", "c"]) await directory.execute(id, appendOne);
    expect(await directory.pin("pinned")).toBe(pinned);
    directory.unpin(pinned);
    directory.unpin(pinned);
  });

  test("forgets at once what does not exist and nobody uses", async () => {
    const { directory } = openDirectory();
    directory.unpin(await directory.pin("c"));
    expect(directory.residentCount).toBe(0);
  });

  test("gives everybody the same state, however loading and letting go fall together", async () => {
    // Somebody comes and goes at each of the steps that the first one still has to take after the store has answered.
    for (let steps = 0; steps < 20; steps++) {
      const { directory, store } = openDirectory();
      const loading = deferred();
      store.hooks.beforeLoad = () => loading.promise;
      const first = directory.pin("c");
      loading.resolve();
      for (let step = 0; step < steps; step++) await Promise.resolve();
      const passing = directory.with("c", () => undefined);
      const session = await first;
      await passing;
      const later = await directory.pin("c");
      expect({ steps, isSame: later === session }).toEqual({ steps, isSame: true });
      directory.unpin(session);
      directory.unpin(later);
    }
  });

  test("tells whoever waits that loading failed, and loads again for the next", async () => {
    const { directory, store } = openDirectory();
    store.hooks.beforeLoad = () => Promise.reject(new Error("disk on fire"));
    const pins = [directory.pin("c"), directory.pin("c")];
    for (const pin of pins) await expect(pin).rejects.toThrow("disk on fire");
    delete store.hooks.beforeLoad;
    directory.unpin(await directory.pin("c"));
    expect(store.counts.loads).toBe(2);
  });
});

describe("SessionDirectory: what leaves the memory", () => {
  test("lets go of the idle ones used longest ago, and loads them again as they were", async () => {
    const { directory, store } = openDirectory({ maxIdleSessions: 2 });
    for (const id of ["a", "b", "c"]) await directory.execute(id, appendOne);
    expect([...directory.residents()].map(({ coordinationId }) => coordinationId)).toEqual(["b", "c"]);
    const { loads } = store.counts;
    await directory.with("b", () => undefined);
    expect(store.counts.loads).toBe(loads);
    expect(await directory.execute("a", appendOne)).toBe(2n);
    expect(store.counts.loads).toBe(loads + 1);
    expect([...directory.residents()].map(({ coordinationId }) => coordinationId)).toEqual(["b", "a"]);
  });

  test("keeps counters that were not written until they are", async () => {
    const { directory } = openDirectory({ maxIdleSessions: 0 });
    await directory.execute("c", appendOne);
    await directory.with("c", ({ metrics }) => metrics.count("agent", 4, 1, 7));
    await directory.flush();
    const received = await directory.with("c", ({ metrics }) => [...(metrics.received.get("agent") ?? [])]);
    expect(received).toEqual([0, 0, 0, 0, 1]);
    expect(directory.residentCount).toBe(0);
  });

  test("keeps renewed leases that were not written until they are", async () => {
    const { directory, clock } = openDirectory({ maxIdleSessions: 0 });
    await directory.execute("c", register(8_000));
    clock.advance(5_000);
    await directory.with("c", ({ activity }) => activity.note("agent", clock.nowMs(), false));
    const heardMs = await directory.with("c", ({ activity, agents }) => {
      const record = agents.get("agent");
      return record && activity.lastHeardMs(record, clock.nowMs());
    });
    expect(heardMs).toBe(clock.nowMs());
  });
});

describe("SessionDirectory.flush", () => {
  test("writes counters and renewed leases once, and nothing when there is nothing", async () => {
    const { directory, store, clock } = openDirectory();
    await directory.execute("c", register(8_000));
    await directory.with("c", ({ metrics, activity }) => {
      clock.advance(2_000);
      metrics.count("agent", 4, 1, 7);
      activity.note("agent", clock.nowMs(), true);
    });
    const { committedRecords } = store.counts;
    await directory.flush();
    expect(store.counts.committedRecords).toBe(committedRecords + 2);
    const { commits } = store.counts;
    await directory.flush();
    expect(store.counts.commits).toBe(commits);
    const loaded = await store.load("c");
    const agent = loaded?.records.find(({ kind }) => kind === "agent");
    expect(JSON.parse(Buffer.from(agent?.value ?? []).toString())).toMatchObject({
      lastHeartbeatMs: clock.nowMs(),
      lastProgressMs: clock.nowMs(),
    });
  });

  test("does not count as a change of the coordination", async () => {
    const { directory } = openDirectory();
    await directory.execute("c", appendOne);
    const revision = await directory.with("c", ({ header }) => header?.revision);
    await directory.with("c", ({ metrics }) => metrics.count("agent", 4, 1, 7));
    await directory.flush();
    expect(await directory.with("c", ({ header }) => header?.revision)).toBe(revision);
  });

  test("writes counters again that the store did not take", async () => {
    const { directory, store } = openDirectory();
    await directory.execute("c", appendOne);
    await directory.with("c", ({ metrics }) => metrics.count("agent", 4, 1, 7));
    store.hooks.beforeCommit = () => {
      delete store.hooks.beforeCommit;
      throw new Error("not now");
    };
    await expect(directory.flush()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    await directory.flush();
    const { records } = (await store.load("c")) ?? { records: [] };
    expect(records.map(({ kind }) => kind)).toContain("metrics");
  });

  test("renews the leases of agents with an open subscription, an eighth of the lease at a time", async () => {
    const { directory, store, clock } = openDirectory();
    await directory.execute("c", register(8_000));
    await directory.with("c", ({ activity }) => activity.subscriptionOpened("agent"));
    const { commits } = store.counts;
    clock.advance(999);
    await directory.flush();
    expect(store.counts.commits).toBe(commits);
    clock.advance(1);
    await directory.flush();
    expect(store.counts.commits).toBe(commits + 1);
  });

  test("forgets the activity of agents that nobody knows", async () => {
    const { directory, clock } = openDirectory();
    await directory.execute("c", register(8_000));
    await directory.with("c", ({ activity }) => activity.note("stranger", clock.nowMs(), true));
    clock.advance(8_000);
    await directory.with("c", ({ activity }) => activity.note("agent", clock.nowMs(), false));
    await directory.flush();
    const progressMs = await directory.with("c", ({ activity, agents }) => {
      const record = agents.get("agent");
      return record && activity.lastProgressMs({ ...record, agentId: "stranger" });
    });
    expect(progressMs).toBe(0);
  });
});

describe("SessionDirectory.close", () => {
  test("writes what is left and forgets everything", async () => {
    const { directory, store } = openDirectory();
    await directory.execute("c", appendOne);
    await directory.with("c", ({ metrics }) => metrics.count("agent", 4, 1, 7));
    await directory.close();
    expect(directory.residentCount).toBe(0);
    const { records } = (await store.load("c")) ?? { records: [] };
    expect(records.map(({ kind }) => kind)).toContain("metrics");
  });
});
