import { describe, expect, test } from "@jest/globals";
import { agentLoads } from "../../../../../server/src/coordination/waits/agent-loads.js";
import { AgentActivity } from "../../../../../server/src/state/agent-activity.js";
import { type AgentRecord, unknownAgent } from "../../../../../server/src/state/agent-record.js";
import type { WaitConditionRecord, WaitRecord } from "../../../../../server/src/state/wait-record.js";
import { completed, dependencyOf, messageFrom, waitRequest } from "../../../../support/wait-requests.js";

function waitOf(agentId: string, ...conditions: readonly WaitConditionRecord[]): WaitRecord {
  const { independent, mode, needed } = waitRequest({ agentId, conditions });
  const times = { startTimeMs: 1, expireTimeMs: 1_000 };
  return { waitId: agentId, agentId, conditions, independent, mode, needed, matched: {}, owner: "server", ...times };
}

function awaitedProgressOf(records: readonly AgentRecord[], waits: readonly WaitRecord[]): Record<string, number> {
  const loads = agentLoads({
    nowMs: 1_000,
    headSequence: 9n,
    waits,
    waitsOf: (agentId) => waits.filter((wait) => wait.agentId === agentId),
    agent: (agentId) => records.find((record) => record.agentId === agentId),
    agents: () => records,
    dependency: () => undefined,
    activity: new AgentActivity(),
  });
  const waiters = waits.map(({ agentId }) => agentId);
  return Object.fromEntries(waiters.map((agentId) => [agentId, loads.get(agentId)?.awaitedProgressMs ?? -1]));
}

const movedAt = (agentId: string, lastProgressMs: number): AgentRecord => ({
  ...unknownAgent(agentId, 60_000),
  isRegistered: true,
  lastProgressMs,
});

describe("agentLoads", () => {
  test("gives each waiter the latest progress of those that it waits for, directly or not", () => {
    const records = [movedAt("a", 10), movedAt("b", 30), movedAt("c", 20)];
    const waits = [
      waitOf("w", completed("x"), completed("y")),
      waitOf("x", completed("a"), completed("c")),
      waitOf("y", completed("b")),
      waitOf("z", completed("a")),
    ];
    expect(awaitedProgressOf(records, waits)).toEqual({ w: 30, x: 20, y: 30, z: 10 });
  });

  test("tells of agents that wait for each other, and of what is beyond them", () => {
    const records = [movedAt("a", 10), movedAt("b", 20), movedAt("c", 5)];
    const waits = [waitOf("a", completed("b")), waitOf("b", completed("a"), completed("c"))];
    expect(awaitedProgressOf(records, waits)).toEqual({ a: 20, b: 20 });
  });

  test("takes anybody's progress where nobody is named", () => {
    const records = [movedAt("a", 10), movedAt("b", 20)];
    expect(awaitedProgressOf(records, [waitOf("w", messageFrom("go")), waitOf("x", completed("w"))])).toEqual({
      w: 20,
      x: 20,
    });
  });

  test("counts those who have met a wait that is still shown, not those who have met a part of one that goes on", () => {
    const completion = { sequence: "7" };
    const records = [{ ...movedAt("a", 30), milestone: "completed" as const, completion }, movedAt("b", 10)];
    const waits = [
      waitOf("met", completed("a")),
      waitOf("half", completed("a"), dependencyOf("model", "User", ["b"])),
      waitOf("behind", completed("met")),
    ];
    expect(awaitedProgressOf(records, waits)).toEqual({ met: 30, half: 10, behind: 30 });
  });
});
