import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { describe, expect, test } from "@jest/globals";
import { agentState } from "../../../../../server/src/registry/agent-state.js";
import { CoordinatorUnderTest } from "../../../../support/coordinator-under-test.js";
import { ManualClock } from "../../../../support/manual-clock.js";
import { NamedConsumer } from "../../../../support/named-consumer.js";

const minute = 60_000;
const leaseMs = 24 * 60 * minute;

describe("an agent that works on what a named subscription brings", () => {
  test.each(["ack", "nack", "reject", "extend"] as const)("and one %s after the other", async (action) => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock, busyStallMs: 5 * minute, waitingStallMs: 10 * minute });
    const { coordinator } = subject;
    await coordinator.agents.register("c", { agentId: "a", capabilities: [], provides: [], metadata: {}, leaseMs });
    await coordinator.agents.heartbeat("c", "a", "begins");
    await subject.fill(3);
    const consumer = await new NamedConsumer(coordinator, { agentId: "a", policy: { ackDeadlineMs: leaseMs } }).join();
    await consumer.untilHanded(3);
    const states: (string | undefined)[] = [];
    for (const signal of consumer.handed.slice(0, 3)) {
      clock.advance(3 * minute);
      await consumer.acknowledge([signal], action, leaseMs);
      states.push(AgentState[agentState(await coordinator.agents.get("c", "a"))]);
    }
    // Consumers extend by a clock, whatever becomes of the work: like a heartbeat it is no progress.
    expect(states).toEqual(action === "extend" ? ["BUSY", "STALLED", "STALLED"] : ["BUSY", "BUSY", "BUSY"]);
    const { activity, record } = await coordinator.agents.get("c", "a");
    if (action !== "extend") expect(record.lastProgressMs).toBe(activity.lastProgressMs(record));
    await consumer.leave();
  });
});
