import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { describe, expect, test } from "@jest/globals";
import { type AgentView, agentState, noLoad } from "../../../../server/src/registry/agent-state.js";
import { AgentActivity } from "../../../../server/src/state/agent-activity.js";
import { type AgentRecord, unknownAgent } from "../../../../server/src/state/agent-record.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { eventually } from "../../../support/eventually.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { completed, dependencyOf, type WaitParts, waitRequest } from "../../../support/wait-requests.js";

const nowMs = 10_000_000;
const limits = { busyStallMs: 1_000, waitingStallMs: 5_000 };
const alive: AgentRecord = { ...unknownAgent("a", 60_000), isRegistered: true, lastHeartbeatMs: nowMs };

function stateOf(record: Partial<AgentRecord>, load: Partial<AgentView["load"]> = {}): string | undefined {
  const view = { record: { ...alive, ...record }, activity: new AgentActivity(), nowMs, limits };
  return AgentState[agentState({ ...view, load: { ...noLoad, ...load } })];
}

describe("agentState", () => {
  test.each([
    ["READY however long it has nothing to do", {}, {}, "READY"],
    ["OFFLINE without a lease", { lastHeartbeatMs: nowMs - 60_000 }, {}, "OFFLINE"],
    ["BUSY while it starts", { milestone: "starting", lastProgressMs: nowMs - 1_000 }, {}, "BUSY"],
    ["BUSY while its progress is recent", { progress: "3 of 5", lastProgressMs: nowMs - 1_000 }, {}, "BUSY"],
    ["STALLED when its work has not moved", { progress: "3 of 5", lastProgressMs: nowMs - 1_001 }, {}, "STALLED"],
    ["OFFLINE, not stalled, when it is not there", { progress: "3", lastHeartbeatMs: 0 }, {}, "OFFLINE"],
    ["STALLED when others wait and it does nothing", {}, { awaitedSinceMs: nowMs - 1_001 }, "STALLED"],
    ["READY when others have just begun to wait", {}, { awaitedSinceMs: nowMs - 1_000 }, "READY"],
    ["READY when others wait and it moves", { lastProgressMs: nowMs }, { awaitedSinceMs: 1 }, "READY"],
    ["WAITING while it waits", {}, { waitingSinceMs: nowMs - 5_000 }, "WAITING"],
    ["STALLED when nobody it waits for moves", {}, { waitingSinceMs: nowMs - 5_001 }, "STALLED"],
    ["WAITING while those it waits for move", {}, { waitingSinceMs: 1, awaitedProgressMs: nowMs - 5_000 }, "WAITING"],
    ["WAITING whatever its lease", { lastHeartbeatMs: 0 }, { waitingSinceMs: nowMs }, "WAITING"],
    ["COMPLETED for good", { milestone: "completed", lastHeartbeatMs: 0 }, { awaitedSinceMs: 1 }, "COMPLETED"],
    ["FAILED for good", { milestone: "failed", lastHeartbeatMs: 0 }, {}, "FAILED"],
  ] as const)("is %s", (_name, record, load, expected) => {
    expect(stateOf(record, load)).toBe(expected);
  });
});

describe("the states of agents that wait for each other", () => {
  const minute = 60_000;

  async function waiting(subject: CoordinatorUnderTest, parts: WaitParts): Promise<AbortController> {
    const abort = new AbortController();
    subject.coordinator.waitFor(waitRequest({ timeoutMs: 3_600_000, ...parts }), abort.signal).catch(() => undefined);
    await eventually(async () => {
      const { graph } = await subject.coordinator.reports.waitGraph("c");
      expect(graph.waits.some(({ record }) => record.agentId === parts.agentId)).toBe(true);
    });
    return abort;
  }

  async function states({ coordinator }: CoordinatorUnderTest): Promise<Record<string, string | undefined>> {
    const { agents } = await coordinator.reports.waitGraph("c");
    return Object.fromEntries(agents.map((view) => [view.record.agentId, AgentState[agentState(view)]]));
  }

  test("follow the progress at the end of the chain", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    const { coordinator } = subject;
    for (const agentId of ["tester", "validator", "generator", "idle"]) {
      const leaseMs = 24 * 60 * minute;
      await coordinator.agents.register("c", { agentId, capabilities: [], provides: [], metadata: {}, leaseMs });
    }
    const aborts = [
      await waiting(subject, { agentId: "validator", conditions: [dependencyOf("model", "User", ["generator"])] }),
      await waiting(subject, { agentId: "tester", conditions: [completed("validator")] }),
    ];
    expect(await states(subject)).toEqual({
      tester: "WAITING",
      validator: "WAITING",
      generator: "READY",
      idle: "READY",
    });
    clock.advance(9 * minute);
    await coordinator.agents.heartbeat("c", "generator", "3 of 5");
    clock.advance(4 * minute);
    expect(await states(subject)).toMatchObject({ tester: "WAITING", validator: "WAITING", generator: "BUSY" });
    clock.advance(2 * minute);
    expect(await states(subject)).toMatchObject({ tester: "WAITING", validator: "WAITING", generator: "STALLED" });
    clock.advance(5 * minute);
    expect(await states(subject)).toEqual({
      tester: "STALLED",
      validator: "STALLED",
      generator: "STALLED",
      idle: "READY",
    });
    await coordinator.agents.heartbeat("c", "generator", "4 of 5");
    expect(await states(subject)).toMatchObject({ tester: "WAITING", validator: "WAITING", generator: "BUSY" });
    for (const abort of aborts) abort.abort();
    await eventually(() => expect(coordinator.openWaits).toBe(0));
  });

  test("an independent wait leaves an agent READY", async () => {
    await using subject = new CoordinatorUnderTest();
    const registration = { agentId: "a", capabilities: [], provides: [], metadata: {}, leaseMs: minute };
    await subject.coordinator.agents.register("c", registration);
    const abort = await waiting(subject, { agentId: "a", conditions: [completed("b")], independent: true });
    expect(await states(subject)).toEqual({ a: "READY" });
    abort.abort();
    await eventually(() => expect(subject.coordinator.openWaits).toBe(0));
  });
});
