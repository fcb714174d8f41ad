import { describe, expect, test } from "@jest/globals";
import { waitGraphOf } from "../../../../../server/src/coordination/waits/wait-graph.js";
import type { WaitWorld } from "../../../../../server/src/coordination/waits/wait-world.js";
import { AgentActivity } from "../../../../../server/src/state/agent-activity.js";
import { type AgentRecord, unknownAgent } from "../../../../../server/src/state/agent-record.js";
import type { WaitConditionRecord, WaitRecord } from "../../../../../server/src/state/wait-record.js";
import { completed, dependencyOf } from "../../../../support/wait-requests.js";

const nowMs = 1_000_000;

function waitOf(waitId: string, agentId: string, ...conditions: WaitConditionRecord[]): WaitRecord {
  return {
    waitId,
    agentId,
    conditions,
    mode: "all",
    needed: conditions.length,
    independent: false,
    startTimeMs: nowMs,
    expireTimeMs: nowMs + 60_000,
    owner: "here",
    matched: {},
  };
}

function worldOf(waits: readonly WaitRecord[], agents: readonly AgentRecord[] = []): WaitWorld {
  const byId = new Map(agents.map((record) => [record.agentId, record]));
  return {
    nowMs,
    headSequence: 0n,
    waits,
    waitsOf: (agentId) => waits.filter((wait) => wait.agentId === agentId),
    agent: (agentId) => byId.get(agentId),
    agents: () => byId.values(),
    dependency: () => undefined,
    activity: new AgentActivity(),
  };
}

function registered(agentId: string): AgentRecord {
  return { ...unknownAgent(agentId, 60_000), isRegistered: true, lastHeartbeatMs: nowMs };
}

describe("waitGraphOf", () => {
  const loop = [waitOf("1", "b", completed("c")), waitOf("2", "c", completed("b"))];

  test("tells waits of a loop from those that wait for one without being part of it", () => {
    const outside = waitOf("3", "a", completed("b"));
    const further = waitOf("4", "z", completed("a"));
    const free = waitOf("5", "y", completed("x"));
    const graph = waitGraphOf(worldOf([...loop, outside, further, free], [registered("x")]));
    expect(graph.loops).toEqual([["b", "c"]]);
    expect(
      graph.waits.map(({ record, isDeadlocked, blockedBy, isOrphan }) => [
        record.agentId,
        isDeadlocked,
        blockedBy,
        isOrphan,
      ]),
    ).toEqual([
      ["b", true, [], false],
      ["c", true, [], false],
      ["a", false, ["b", "c"], false],
      ["z", false, ["b", "c"], false],
      ["y", false, [], false],
    ]);
  });

  test("an independent wait for a loop is blocked by it, and whoever waits for its agent is not", () => {
    const independent = { ...waitOf("3", "a", completed("b")), independent: true };
    const graph = waitGraphOf(worldOf([...loop, independent, waitOf("4", "z", completed("a"))], [registered("a")]));
    expect(graph.waits.map(({ blockedBy }) => blockedBy)).toEqual([[], [], ["b", "c"], []]);
  });

  test("names everybody who is there where nobody is named, but not the waiter itself", () => {
    const provider = { ...registered("p"), provides: [{ dependencyType: "model", dependencyId: "User?" }] };
    const world = worldOf(
      [waitOf("1", "a", dependencyOf("model", "User1"), dependencyOf("model", "Post"))],
      [
        registered("a"),
        registered("b"),
        provider,
        { ...registered("gone"), lastHeartbeatMs: nowMs - 60_000 },
        { ...registered("done"), milestone: "completed" },
      ],
    );
    expect(waitGraphOf(world).waits[0]?.pending).toEqual([
      { conditionIndex: 0, agentIds: ["p"], anyone: false },
      { conditionIndex: 1, agentIds: ["b", "p"], anyone: true },
    ]);
  });
});
