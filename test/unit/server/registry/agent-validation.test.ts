import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { ManualClock } from "../../../support/manual-clock.js";

const initialized = { event: { case: "agentInitialized", value: { ready: true } } } as const;

function register(subject: CoordinatorUnderTest, agentId: string, leaseMs = 60_000): Promise<unknown> {
  return subject.coordinator.agents.register("c", { agentId, capabilities: [], provides: [], metadata: {}, leaseMs });
}

describe("sender validation", () => {
  test("off lets everybody send without a word", async () => {
    await using subject = new CoordinatorUnderTest({ senderValidation: "off" });
    await subject.send();
    expect(subject.warnings).toEqual([]);
  });

  test("warn lets a stranger send, and says so once for each sender", async () => {
    await using subject = new CoordinatorUnderTest({ senderValidation: "warn" });
    await subject.send();
    await subject.send();
    await subject.send({ senderAgentId: "other" });
    expect(subject.warnings.map(({ agentId, coordinationId }) => [coordinationId, agentId])).toEqual([
      ["c", "sender"],
      ["c", "other"],
    ]);
  });

  test("warn says nothing of whom is registered", async () => {
    await using subject = new CoordinatorUnderTest({ senderValidation: "warn" });
    await register(subject, "sender");
    await subject.send();
    expect(subject.warnings).toEqual([]);
  });

  test("enforce refuses a stranger, whatever it has sent before, and stores nothing", async () => {
    await using subject = new CoordinatorUnderTest({ senderValidation: "enforce" });
    await expect(subject.send()).rejects.toMatchObject({
      reason: "AGENT_NOT_REGISTERED",
      message: expect.stringContaining('sender "sender" is not registered in coordination "c"'),
      metadata: { agent_id: "sender" },
    });
    await expect(subject.header()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    await subject.send(initialized);
    await subject.coordinator.agents.deregister("c", "sender");
    await expect(subject.send()).rejects.toMatchObject({ reason: "AGENT_NOT_REGISTERED" });
  });

  test("enforce admits whom registered, and whom its lease has left", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ senderValidation: "enforce", clock });
    await register(subject, "sender", 1_000);
    clock.advance(5_000);
    expect(await subject.send()).toMatchObject({ sequence: 1n });
  });

  test("always admits AgentInitialized, which registers its sender", async () => {
    await using subject = new CoordinatorUnderTest({ senderValidation: "enforce" });
    await subject.send(initialized);
    expect(await subject.send()).toMatchObject({ sequence: 2n });
    expect(subject.warnings).toEqual([]);
  });
});

describe("recipient validation", () => {
  const toNobody = { recipientAgentIds: ["nobody"] };

  test("off and warn store a signal to a stranger; warn says so", async () => {
    for (const recipientValidation of ["off", "warn"] as const) {
      await using subject = new CoordinatorUnderTest({ recipientValidation, senderValidation: "off" });
      await subject.send(toNobody);
      const warned = subject.warnings.map(({ message, agentId }) => [message, agentId]);
      expect(warned).toEqual(recipientValidation === "off" ? [] : [["signal to an unknown agent", "nobody"]]);
    }
  });

  test("enforce refuses a stranger with the agents that are known, nearest first", async () => {
    await using subject = new CoordinatorUnderTest();
    for (const agentId of ["test-runner", "model-generator", "model-generatoor"]) await register(subject, agentId);
    await expect(subject.send({ recipientAgentIds: ["test-runner", "model-generatr"] })).rejects.toMatchObject({
      reason: "AGENT_NOT_FOUND",
      message:
        'recipient "model-generatr" was never seen in coordination "c"; known agents, nearest first: ' +
        "model-generator, model-generatoor, test-runner",
      metadata: {
        agent_id: "model-generatr",
        known_agents: "model-generator,model-generatoor,test-runner",
        live_agents: "model-generator,model-generatoor,test-runner",
        nearest_agent: "model-generator",
      },
    });
  });

  test("enforce says so when nobody is known", async () => {
    await using subject = new CoordinatorUnderTest();
    await expect(subject.send(toNobody)).rejects.toMatchObject({
      message: 'recipient "nobody" was never seen in coordination "c"; no agent is known yet',
      metadata: { known_agents: "", live_agents: "", nearest_agent: "" },
    });
  });

  test("enforce names at most 16 agents", async () => {
    await using subject = new CoordinatorUnderTest();
    for (let index = 10; index < 60; index++) await register(subject, `agent-${index}`);
    const [outcome] = await subject.sendEach([{ recipientAgentIds: ["agent-3x"] }]);
    if (!(outcome?.error instanceof CoordinationError)) throw new Error("the signal was not refused");
    const names = (outcome.error.metadata["known_agents"] ?? "").split(",");
    expect(names).toHaveLength(16);
    expect(names.slice(0, 10).sort()).toEqual(Array.from({ length: 10 }, (_, digit) => `agent-3${digit}`));
  });

  test("enforce tells the live ones from those that are offline", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await register(subject, "short", 1_000);
    await register(subject, "long", 60_000);
    clock.advance(2_000);
    await expect(subject.send(toNobody)).rejects.toMatchObject({
      metadata: { known_agents: "long,short", live_agents: "long" },
    });
  });

  test("knows who registered once, also offline, and who has sent", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await register(subject, "registered", 1_000);
    await subject.send({ senderAgentId: "talker" });
    clock.advance(10_000);
    expect(await subject.send({ recipientAgentIds: ["registered", "talker"] })).toMatchObject({ sequence: 2n });
  });

  test("knows a sender also when its registration has ended, but not one that never sent", async () => {
    await using subject = new CoordinatorUnderTest();
    for (const agentId of ["sender", "silent"]) await register(subject, agentId);
    await subject.send();
    for (const agentId of ["sender", "silent"]) await subject.coordinator.agents.deregister("c", agentId);
    const send = (agentId: string) => subject.send({ senderAgentId: "other", recipientAgentIds: [agentId] });
    expect(await send("sender")).toMatchObject({ sequence: 2n });
    await expect(send("silent")).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
  });

  test("does not know whom only subscribes", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    await subject.subscribe({ agentId: "reader" }).until("subscribed");
    await expect(subject.send({ recipientAgentIds: ["reader"] })).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
  });

  test("lets an agent address itself before anybody knows it", async () => {
    await using subject = new CoordinatorUnderTest();
    expect(await subject.send({ recipientAgentIds: ["sender"] })).toMatchObject({ sequence: 1n });
  });

  test.each(["__proto__", "constructor"])("does not know %s by the way objects are made", async (agentId) => {
    await using subject = new CoordinatorUnderTest();
    await expect(subject.send({ recipientAgentIds: [agentId] })).rejects.toMatchObject({
      reason: "AGENT_NOT_FOUND",
      metadata: { agent_id: agentId },
    });
  });
});
