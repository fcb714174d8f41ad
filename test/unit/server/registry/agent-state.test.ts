import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
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

  interface Waiting {
    readonly abort: AbortController;
    /** "satisfied", or why it ended otherwise. */
    readonly outcome: Promise<string>;
  }

  async function waiting(subject: CoordinatorUnderTest, parts: WaitParts): Promise<Waiting> {
    const abort = new AbortController();
    const request = waitRequest({ timeoutMs: 3_600_000, ...parts });
    const outcome = subject.coordinator.waits.waitFor(request, abort.signal).then(
      () => "satisfied",
      (error: unknown) => (error instanceof CoordinationError ? error.reason : String(error)),
    );
    await eventually(async () => {
      const { graph } = await subject.coordinator.reports.waitGraph("c");
      expect(graph.waits.some(({ record }) => record.agentId === parts.agentId)).toBe(true);
    });
    return { abort, outcome };
  }

  /** Agents of which each waits for the one before it, except for the first, which works all the while; later than any limit. */
  async function whileTheFirstWorks(subject: CoordinatorUnderTest, clock: ManualClock, agentIds: readonly string[]) {
    for (const agentId of agentIds) await register(subject, agentId);
    const waits: Waiting[] = [];
    // The last first: what is known of the first has to come the whole way.
    for (const [index, provider] of [...agentIds.entries()].slice(0, -1).reverse()) {
      const conditions = [dependencyOf("made by", provider, [provider])];
      waits.unshift(await waiting(subject, { agentId: agentIds[index + 1] ?? "", conditions }));
    }
    for (let step = 1; step <= 8; step++) {
      clock.advance(4 * minute);
      await subject.coordinator.agents.heartbeat("c", agentIds[0] ?? "", `step ${step}`);
    }
    return waits;
  }

  function register({ coordinator }: CoordinatorUnderTest, agentId: string): Promise<unknown> {
    const leaseMs = 24 * 60 * minute;
    return coordinator.agents.register("c", { agentId, capabilities: [], provides: [], metadata: {}, leaseMs });
  }

  async function leave(subject: CoordinatorUnderTest, waits: readonly Waiting[]): Promise<void> {
    for (const { abort } of waits) abort.abort();
    await eventually(() => expect(subject.coordinator.waits.openCount).toBe(0));
  }

  const resolvedBy = (agentId: string) => ({
    senderAgentId: agentId,
    event: { case: "dependencyResolved", value: { dependencyType: "made by", dependencyId: agentId } } as const,
  });

  async function states({ coordinator }: CoordinatorUnderTest): Promise<Record<string, string | undefined>> {
    const { agents } = await coordinator.reports.waitGraph("c");
    return Object.fromEntries(agents.map((view) => [view.record.agentId, AgentState[agentState(view)]]));
  }

  test("follow the progress at the end of the chain", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    const { coordinator } = subject;
    for (const agentId of ["tester", "validator", "generator", "idle"]) await register(subject, agentId);
    const waits = [
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
    await leave(subject, waits);
  });

  test("an agent whose wait was just answered is not stalled, nor are those behind it", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    const waits = await whileTheFirstWorks(subject, clock, ["parser", "generator", "runner"]);
    await subject.send(resolvedBy("parser"));
    expect(await waits[0]?.outcome).toBe("satisfied");
    expect(await states(subject)).toEqual({ parser: "BUSY", generator: "READY", runner: "WAITING" });
    clock.advance(5 * minute + 1);
    expect(await states(subject)).toMatchObject({ generator: "STALLED", runner: "WAITING" });
    await leave(subject, waits);
  });

  test("an agent whose wait has failed, or was given up, is not stalled, nor are those behind it", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    const waits = await whileTheFirstWorks(subject, clock, ["parser", "generator", "runner"]);
    await subject.send({ senderAgentId: "parser", event: { case: "agentCompleted", value: { error: "broken" } } });
    expect(await waits[0]?.outcome).toBe("DEPENDENCY_FAILED");
    expect(await states(subject)).toEqual({ parser: "FAILED", generator: "READY", runner: "WAITING" });
    clock.advance(10 * minute);
    const again = await waiting(subject, { agentId: "generator", conditions: [dependencyOf("made by", "anybody")] });
    clock.advance(10 * minute);
    again.abort.abort();
    await again.outcome;
    expect(await states(subject)).toEqual({ parser: "FAILED", generator: "READY", runner: "WAITING" });
    await leave(subject, waits);
  });

  test("nobody in a chain of 150 is stalled while the agent at its end works", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    const agentIds = Array.from({ length: 151 }, (_, index) => `agent ${String(150 - index).padStart(3, "0")}`);
    const waits = await whileTheFirstWorks(subject, clock, agentIds);
    const all = Object.values(await states(subject));
    expect(all.filter((state) => state === "WAITING")).toHaveLength(150);
    await leave(subject, waits);
  });

  test("the end of an independent wait is no progress: it held nothing up", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    await register(subject, "worker");
    await subject.coordinator.agents.heartbeat("c", "worker", "began");
    const wait = await waiting(subject, { agentId: "worker", conditions: [completed("b")], independent: true });
    clock.advance(5 * minute + 1);
    await subject.send({ senderAgentId: "b", event: { case: "agentCompleted", value: {} } });
    expect(await wait.outcome).toBe("satisfied");
    expect(await states(subject)).toEqual({ worker: "STALLED" });
  });

  test("an independent wait leaves an agent READY", async () => {
    await using subject = new CoordinatorUnderTest();
    await register(subject, "a");
    const wait = await waiting(subject, { agentId: "a", conditions: [completed("b")], independent: true });
    expect(await states(subject)).toEqual({ a: "READY" });
    await leave(subject, [wait]);
  });
});
