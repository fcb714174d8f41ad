import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Coordination, CoordinationState } from "@coordination-signals/proto/coordination/v1/coordination";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { refusalFrom, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { protocols, type TestClient } from "../support/test-client.js";
import { checkRangesJoin, openSubscription } from "../support/test-subscription.js";

const earliest = { case: "position", value: StartPosition.EARLIEST } as const;

describe.each(protocols)("CoordinationService by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  const resolve = (coordinationId: string, senderAgentId: string, dependencyId: string, resolvedBy = "") =>
    client.signals.sendSignal({
      coordinationId,
      senderAgentId,
      event: { case: "dependencyResolved", value: { dependencyType: "model", dependencyId, resolvedBy } },
    });

  const find = async (coordinationId: string): Promise<Coordination> => {
    const { coordination } = await client.coordinations.getCoordination({ coordinationId });
    if (coordination === undefined) throw new Error("the answer has no coordination");
    return coordination;
  };

  describe("GetCoordination", () => {
    test("tells of the log, the agents, and the dependencies with who resolved them last", async () => {
      const coordinationId = newCoordinationId();
      await client.agents.registerAgent({ coordinationId, agentId: "b" });
      await client.agents.registerAgent({ coordinationId, agentId: "a" });
      await resolve(coordinationId, "a", "User");
      await resolve(coordinationId, "a", "Post", "someone");
      const { timestamp, epoch } = await resolve(coordinationId, "b", "User");
      const overview = await client.coordinations.getCoordination({ coordinationId });
      expect(overview).toMatchObject({
        coordination: { coordinationId, epoch, state: CoordinationState.OPEN, headSequence: 3n, oldestSequence: 1n },
        agents: [{ agentId: "a" }, { agentId: "b" }],
        dependencies: [
          { dependencyType: "model", dependencyId: "User", resolvedBy: "b", sequence: 3n, resolveTime: timestamp },
          { dependencyType: "model", dependencyId: "Post", resolvedBy: "someone", sequence: 2n },
        ],
        agentCount: 2n,
        dependencyCount: 2n,
        activeSubscriptions: 0n,
      });
      expect(overview.coordination?.lastSignalTime).toEqual(timestamp);
      expect(overview.coordination?.closeTime).toBeUndefined();
    });

    test("counts every change in the revision, and only changes", async () => {
      const coordinationId = newCoordinationId();
      await client.agents.registerAgent({ coordinationId, agentId: "a" });
      const first = await find(coordinationId);
      expect(first).toMatchObject({ headSequence: 0n, oldestSequence: 1n });
      await client.signals.sendSignal(note(coordinationId));
      const second = await find(coordinationId);
      expect(second.revision).toBeGreaterThan(first.revision);
      await client.signals.getSignalHistory({ coordinationId });
      expect((await find(coordinationId)).revision).toBe(second.revision);
    });

    test("counts the subscriptions that are open", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(note(coordinationId));
      using one = openSubscription(client.signals, { coordinationId, agentId: "a" });
      using two = openSubscription(client.signals, { coordinationId, agentId: "a" });
      await Promise.all([one.until("caughtUp"), two.until("caughtUp")]);
      expect(await client.coordinations.getCoordination({ coordinationId })).toMatchObject({ activeSubscriptions: 2n });
    });
  });

  describe("CloseCoordination", () => {
    test("refuses later sends and registrations with the reason it was closed for, and lets reads go on", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(note(coordinationId, "before", { requestId: "r" }));
      const { coordination } = await client.coordinations.closeCoordination({ coordinationId, reason: "all done" });
      expect(coordination).toMatchObject({
        state: CoordinationState.CLOSED,
        closeReason: "all done",
        headSequence: 1n,
      });
      expect(milliseconds(coordination?.closeTime)).toBeGreaterThan(0);
      const expected = {
        code: "FailedPrecondition",
        reason: "COORDINATION_CLOSED",
        message: expect.stringContaining("all done"),
        metadata: { coordination_id: coordinationId },
      };
      expect(await refusalOf(client.signals.sendSignal(note(coordinationId)))).toMatchObject(expected);
      expect(await refusalOf(client.agents.registerAgent({ coordinationId, agentId: "a" }))).toMatchObject(expected);
      const again = await client.signals.sendSignal(note(coordinationId, "before", { requestId: "r" }));
      expect(again).toMatchObject({ sequence: 1n, deduplicated: true });
      expect((await client.signals.getSignalHistory({ coordinationId })).signals).toHaveLength(1);
      expect((await client.signals.getSignalMetrics({ coordinationId })).totalSignalsSent).toBe(1n);
    });

    test("changes nothing the second time", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(note(coordinationId));
      const first = await client.coordinations.closeCoordination({ coordinationId, reason: "first" });
      expect(await client.coordinations.closeCoordination({ coordinationId, reason: "second" })).toEqual(first);
    });

    test("lets subscribers drain to the head and end well, those that are open and those that come later", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(note(coordinationId, "1"));
      using open = openSubscription(client.signals, { coordinationId, start: earliest });
      await open.until("caughtUp");
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 20) });
      await client.coordinations.closeCoordination({ coordinationId });
      using late = openSubscription(client.signals, { coordinationId, start: earliest });
      for (const subscription of [open, late]) {
        expect(await subscription.untilEnd()).toBeUndefined();
        expect(subscription.signals).toHaveLength(21);
        checkRangesJoin(subscription.items);
      }
    });
  });

  describe("DeleteCoordination", () => {
    test("removes everything, ends open subscriptions, and lets the name begin again with a new epoch", async () => {
      const coordinationId = newCoordinationId();
      const before = await client.signals.sendSignal(note(coordinationId, "before", { requestId: "r" }));
      await client.agents.registerAgent({ coordinationId, agentId: "a" });
      using subscription = openSubscription(client.signals, { coordinationId, start: earliest });
      const { value: caughtUp } = await subscription.until("caughtUp");
      await client.coordinations.deleteCoordination({ coordinationId });
      expect(refusalFrom(await subscription.untilEnd())).toMatchObject({
        code: "NotFound",
        reason: "COORDINATION_NOT_FOUND",
        metadata: { coordination_id: coordinationId },
      });
      const notFound = { code: "NotFound", reason: "COORDINATION_NOT_FOUND" };
      for (const call of [
        client.coordinations.getCoordination({ coordinationId }),
        client.coordinations.closeCoordination({ coordinationId }),
        client.coordinations.deleteCoordination({ coordinationId }),
        client.signals.getSignalHistory({ coordinationId }),
        client.signals.getSignalMetrics({ coordinationId }),
      ]) {
        expect(await refusalOf(call)).toMatchObject(notFound);
      }
      const after = await client.signals.sendSignal(note(coordinationId, "after", { requestId: "r" }));
      expect(after).toMatchObject({ sequence: 1n, deduplicated: false });
      expect(after.epoch).not.toBe(before.epoch);
      expect((await client.agents.listAgents({ coordinationId })).agents).toEqual([]);
      using resumed = openSubscription(client.signals, {
        coordinationId,
        start: { case: "cursor", value: caughtUp.cursor },
      });
      expect(refusalFrom(await resumed.untilEnd())).toMatchObject({
        code: "OutOfRange",
        reason: "EPOCH_CHANGED",
        metadata: { epoch: after.epoch, head_sequence: "1", oldest_sequence: "1" },
      });
    });
  });
});

describe.each(protocols)("ListCoordinations by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  test("lists by name in pages, and nothing before the first coordination", async () => {
    expect(await client.coordinations.listCoordinations({})).toMatchObject({ coordinations: [], nextPageToken: "" });
    const names = Array.from({ length: 25 }, (_, index) => `c-${String(index).padStart(2, "0")}`);
    await client.signals.batchSendSignals({ requests: names.toReversed().map((name) => note(name)) });
    await client.coordinations.closeCoordination({ coordinationId: "c-04", reason: "done" });
    const listed: Coordination[] = [];
    let pageToken = "";
    do {
      const page = await client.coordinations.listCoordinations({ pageToken, pageSize: 10 });
      expect(page.coordinations.length).toBeLessThanOrEqual(10);
      listed.push(...page.coordinations);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(listed.map(({ coordinationId }) => coordinationId)).toEqual(names);
    expect(listed[4]).toMatchObject({ state: CoordinationState.CLOSED, closeReason: "done", headSequence: 1n });
    expect(listed[5]).toMatchObject({ state: CoordinationState.OPEN, headSequence: 1n });
  });

  test("goes on behind a coordination that was deleted meanwhile", async () => {
    const { nextPageToken: pageToken } = await client.coordinations.listCoordinations({ pageSize: 3 });
    await client.coordinations.deleteCoordination({ coordinationId: "c-02" });
    const { coordinations } = await client.coordinations.listCoordinations({ pageToken, pageSize: 2 });
    expect(coordinations.map(({ coordinationId }) => coordinationId)).toEqual(["c-03", "c-04"]);
  });

  test("refuses the token of another listing, a made-up one, and sizes out of bounds", async () => {
    for (const agentId of ["a", "b"]) await client.agents.registerAgent({ coordinationId: "c-00", agentId });
    const { nextPageToken } = await client.agents.listAgents({ coordinationId: "c-00", pageSize: 1 });
    const expected = { code: "InvalidArgument", reason: "INVALID_PAGE_TOKEN" };
    for (const pageToken of [nextPageToken, "!", "bm8", "W10", "WzEsMl0"]) {
      expect(await refusalOf(client.coordinations.listCoordinations({ pageToken }))).toMatchObject(expected);
    }
    for (const pageSize of [-1, 1001]) {
      expect(await refusalOf(client.coordinations.listCoordinations({ pageSize }))).toMatchObject({
        reason: "INVALID_REQUEST",
        violatedFields: ["page_size"],
      });
    }
  });
});

function milliseconds(timestamp: Timestamp | undefined): number {
  return timestamp === undefined ? Number.NaN : timestampMs(timestamp);
}
