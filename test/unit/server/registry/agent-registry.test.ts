import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { describe, expect, test } from "@jest/globals";
import type { Registration } from "../../../../server/src/registry/agent-registry.js";
import { agentMessage, agentState } from "../../../../server/src/registry/agent-state.js";
import { CoordinatorUnderTest, openDurable } from "../../../support/coordinator-under-test.js";
import { eventually } from "../../../support/eventually.js";
import type { RequestParts } from "../../../support/log-entries.js";
import { ManualClock } from "../../../support/manual-clock.js";
import { completed as completedCondition, waitRequest } from "../../../support/wait-requests.js";

const registration: Registration = {
  agentId: "a",
  capabilities: ["typescript"],
  provides: [{ dependencyType: "model", dependencyId: "User*" }],
  metadata: { team: "blue" },
  leaseMs: 10_000,
};

const from = { senderAgentId: "a" };
const initialized = (ready: boolean): RequestParts => ({
  ...from,
  event: { case: "agentInitialized", value: { ready, capabilities: ["go"] } },
});
const completed = (error?: string): RequestParts => ({
  ...from,
  event: { case: "agentCompleted", value: error === undefined ? {} : { error } },
});

function subjectWith(clock = new ManualClock()) {
  const subject = new CoordinatorUnderTest({ clock });
  return {
    clock,
    subject,
    register: (parts: Partial<Registration> = {}) =>
      subject.coordinator.agents.register("c", { ...registration, ...parts }),
    heartbeat: (progress = "") => subject.coordinator.agents.heartbeat("c", "a", progress),
    state: async () => agentState(await subject.coordinator.agents.get("c", "a")),
    agent: async () => agentMessage("c", await subject.coordinator.agents.get("c", "a")),
    [Symbol.asyncDispose]: () => subject.dispose(),
  };
}

describe("registerAgent", () => {
  test("begins a coordination, and knows the agent by everything it said", async () => {
    await using registry = subjectWith();
    await registry.register();
    const startMs = registry.clock.nowMs();
    expect(await registry.agent()).toMatchObject({
      agentId: "a",
      coordinationId: "c",
      capabilities: ["typescript"],
      provides: [{ dependencyType: "model", dependencyId: "User*" }],
      metadata: { team: "blue" },
      state: AgentState.READY,
      registerTime: { seconds: BigInt(startMs / 1000) },
      lastHeartbeatTime: { seconds: BigInt(startMs / 1000) },
      leaseExpireTime: { seconds: BigInt(startMs / 1000 + 10) },
      lease: { seconds: 10n },
      progress: "",
    });
    expect((await registry.agent()).lastProgressTime).toBeUndefined();
    expect(await registry.subject.header()).toMatchObject({ headSequence: 0n, oldestSequence: 1n, revision: 1n });
  });

  test("again takes what is said now, and lets its work begin anew", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.heartbeat("halfway");
    await registry.subject.send(completed());
    await registry.register({ capabilities: [], provides: [], metadata: {}, leaseMs: 500 });
    expect(await registry.agent()).toMatchObject({
      capabilities: [],
      provides: [],
      metadata: {},
      lease: { seconds: 0n, nanos: 500_000_000 },
      state: AgentState.READY,
      progress: "",
    });
  });

  test("is refused by a closed coordination", async () => {
    await using registry = subjectWith();
    await registry.subject.send();
    await registry.subject.coordinator.closeCoordination("c", "over");
    await expect(registry.register()).rejects.toMatchObject({ reason: "COORDINATION_CLOSED" });
  });

  test("is refused while the server drains, as a rejection", async () => {
    await using registry = subjectWith();
    registry.subject.coordinator.drain();
    await expect(registry.register()).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
  });

  test("is there after a restart", async () => {
    await using server = await openDurable();
    await server.current.coordinator.agents.register("c", registration);
    const before = agentMessage("c", await server.current.coordinator.agents.get("c", "a"));
    const restarted = await server.restart();
    expect(agentMessage("c", await restarted.coordinator.agents.get("c", "a"))).toEqual(before);
  });
});

describe("an agent's state", () => {
  test("follows what it says of itself", async () => {
    await using registry = subjectWith();
    await registry.subject.send(initialized(false));
    expect(await registry.state()).toBe(AgentState.BUSY);
    await registry.subject.send(initialized(true));
    expect(await registry.state()).toBe(AgentState.READY);
    await registry.heartbeat();
    expect(await registry.state()).toBe(AgentState.READY);
    await registry.heartbeat("3 of 7 models");
    expect(await registry.state()).toBe(AgentState.BUSY);
    expect(await registry.agent()).toMatchObject({ progress: "3 of 7 models" });
    await registry.subject.send(completed());
    expect(await registry.state()).toBe(AgentState.COMPLETED);
    await registry.subject.send(completed("out of memory"));
    expect(await registry.state()).toBe(AgentState.FAILED);
    await registry.subject.send(initialized(true));
    expect(await registry.state()).toBe(AgentState.READY);
  });

  test("is OFFLINE when the lease has run out, and what it was when it is heard of again", async () => {
    await using registry = subjectWith();
    await registry.register();
    registry.clock.advance(9_999);
    expect(await registry.state()).toBe(AgentState.READY);
    registry.clock.advance(1);
    expect(await registry.state()).toBe(AgentState.OFFLINE);
    await registry.heartbeat();
    expect(await registry.state()).toBe(AgentState.READY);
  });

  test("stays COMPLETED and FAILED when the lease has run out", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.send(completed());
    registry.clock.advance(60_000);
    expect(await registry.state()).toBe(AgentState.COMPLETED);
    await registry.subject.send(completed("broken"));
    registry.clock.advance(60_000);
    expect(await registry.state()).toBe(AgentState.FAILED);
  });

  test("is undone by a rollback as far as signals made it, not the registration", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.send(from);
    await registry.subject.send(completed());
    await registry.subject.coordinator.rollBack("c", { toSequence: 1n, reason: "", requestedBy: "" });
    expect(await registry.state()).toBe(AgentState.READY);
  });
});

describe("a lease", () => {
  test("is renewed by every send", async () => {
    await using registry = subjectWith();
    await registry.register();
    for (let step = 0; step < 5; step++) {
      registry.clock.advance(9_000);
      await registry.subject.send(from);
      expect(await registry.state()).toBe(AgentState.READY);
    }
    registry.clock.advance(10_000);
    expect(await registry.state()).toBe(AgentState.OFFLINE);
  });

  test("is renewed by an open subscription, and runs from when it is closed", async () => {
    await using registry = subjectWith();
    await registry.register();
    const reader = registry.subject.subscribe({ agentId: "a" });
    await reader.until("subscribed");
    registry.clock.advance(60_000);
    expect(await registry.state()).toBe(AgentState.READY);
    await reader.leave();
    registry.clock.advance(9_999);
    expect(await registry.state()).toBe(AgentState.READY);
    registry.clock.advance(1);
    expect(await registry.state()).toBe(AgentState.OFFLINE);
  });

  test("is not renewed by the subscription of another agent or of nobody", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.subscribe({ agentId: "b" }).until("subscribed");
    await registry.subject.subscribe().until("subscribed");
    registry.clock.advance(10_000);
    expect(await registry.state()).toBe(AgentState.OFFLINE);
  });

  test("is 60 seconds for an agent that registers by AgentInitialized", async () => {
    await using registry = subjectWith();
    await registry.subject.send(initialized(true));
    expect(await registry.agent()).toMatchObject({ lease: { seconds: 60n }, capabilities: ["go"] });
  });

  test("keeps what it was given when the agent initializes again", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.send(initialized(true));
    expect(await registry.agent()).toMatchObject({
      lease: { seconds: 10n },
      capabilities: ["go"],
      metadata: { team: "blue" },
    });
  });

  test("goes on after a restart from when the agent was last heard of", async () => {
    const clock = new ManualClock();
    await using server = await openDurable({ clock });
    await server.current.coordinator.agents.register("c", registration);
    clock.advance(9_000);
    await server.current.send(from);
    const restarted = await server.restart();
    clock.advance(9_999);
    expect(agentState(await restarted.coordinator.agents.get("c", "a"))).toBe(AgentState.READY);
    clock.advance(1);
    expect(agentState(await restarted.coordinator.agents.get("c", "a"))).toBe(AgentState.OFFLINE);
  });
});

describe("progress", () => {
  test("is noted by heartbeats that say something and by sends", async () => {
    await using registry = subjectWith();
    await registry.register();
    const startSeconds = BigInt(registry.clock.nowMs() / 1000);
    const progressAfter = async (): Promise<bigint | undefined> => {
      const { lastProgressTime } = await registry.agent();
      return lastProgressTime && lastProgressTime.seconds - startSeconds;
    };
    registry.clock.advance(1_000);
    await registry.heartbeat();
    expect(await progressAfter()).toBeUndefined();
    registry.clock.advance(1_000);
    await registry.heartbeat("moved");
    expect(await progressAfter()).toBe(2n);
    registry.clock.advance(1_000);
    await registry.subject.send(from);
    expect(await progressAfter()).toBe(3n);
  });
});

describe("progress, for those who learn of it from the store,", () => {
  const minute = 60_000;
  const day = 24 * 60 * minute;

  test("is not behind by as much as may pass before an agent is stalled, however long its lease is", async () => {
    const clock = new ManualClock();
    await using server = await openDurable({ clock });
    await server.current.coordinator.agents.register("c", { ...registration, leaseMs: day });
    await server.current.send(initialized(false));
    for (let step = 0; step < 5; step++) {
      clock.advance(2 * minute);
      await server.current.send(from);
    }
    const record = () => server.current.coordinator.look("c", ({ session }) => session.agent("a"));
    expect((await record())?.lastProgressMs).toBe(clock.nowMs());
    const restarted = await server.restart();
    clock.advance(5 * minute);
    expect(agentState(await restarted.coordinator.agents.get("c", "a"))).toBe(AgentState.BUSY);
    clock.advance(1);
    expect(agentState(await restarted.coordinator.agents.get("c", "a"))).toBe(AgentState.STALLED);
  });

  test("is written with a heartbeat and none of its own", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.send(from);
    registry.clock.advance(100);
    await registry.subject.send(from);
    const movedMs = registry.clock.nowMs();
    registry.clock.advance(100);
    await registry.heartbeat();
    const record = await registry.subject.coordinator.look("c", ({ session }) => session.agent("a"));
    expect(record).toMatchObject({ lastProgressMs: movedMs, lastHeartbeatMs: movedMs + 100 });
  });
});

describe("heartbeatAgent and deregisterAgent", () => {
  test("refuse what does not exist", async () => {
    await using registry = subjectWith();
    await expect(registry.heartbeat()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    await expect(registry.subject.coordinator.agents.deregister("c", "a")).rejects.toMatchObject({
      reason: "COORDINATION_NOT_FOUND",
    });
    await registry.subject.send();
    await expect(registry.heartbeat()).rejects.toMatchObject({
      reason: "AGENT_NOT_FOUND",
      metadata: { agent_id: "a" },
    });
    await registry.subject.send(from);
    await expect(registry.heartbeat()).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
  });

  test("ends a registration, once", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.coordinator.agents.deregister("c", "a");
    await expect(registry.agent()).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
    await expect(registry.subject.coordinator.agents.deregister("c", "a")).rejects.toMatchObject({
      reason: "AGENT_NOT_FOUND",
    });
    expect(await registry.subject.header()).toMatchObject({ revision: 2n });
  });
});

describe("an agent that has left", () => {
  const orphanOf = async ({ subject }: ReturnType<typeof subjectWith>) => {
    const { graph } = await subject.coordinator.reports.waitGraph("c");
    return graph.waits[0]?.isOrphan;
  };

  test("is not taken for alive because of what it did before, so a wait for it is an orphan", async () => {
    await using registry = subjectWith();
    await registry.register();
    await registry.subject.send(from);
    const reader = registry.subject.subscribe({ agentId: "a" });
    await reader.until("subscribed");
    const abort = new AbortController();
    const request = waitRequest({ agentId: "waiter", conditions: [completedCondition("a")] });
    const wait = registry.subject.coordinator.waits.waitFor(request, abort.signal).catch(() => "left");
    await eventually(async () => expect(await orphanOf(registry)).toBe(false));
    await registry.subject.coordinator.agents.deregister("c", "a");
    await reader.leave();
    expect(await orphanOf(registry)).toBe(true);
    await registry.subject.send(from);
    expect(await orphanOf(registry)).toBe(false);
    abort.abort();
    expect(await wait).toBe("left");
  });
});

describe("agentsOf", () => {
  test("lists the registered agents by name", async () => {
    await using registry = subjectWith();
    for (const agentId of ["b", "a", "c1"]) await registry.register({ agentId });
    await registry.subject.send({ senderAgentId: "unregistered" });
    const names = await registry.subject.coordinator.look("c", ({ session }) =>
      registry.subject.coordinator.agents.of(session).map(({ record }) => record.agentId),
    );
    expect(names).toEqual(["a", "b", "c1"]);
  });
});
