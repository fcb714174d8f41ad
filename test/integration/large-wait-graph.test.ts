import { GraphFormat } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { connectJson, grpc, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { type ConditionInit, model, openWaitCount } from "../support/waiting.js";

const textFormats = [GraphFormat.UNSPECIFIED, GraphFormat.MERMAID, GraphFormat.DOT];

/** A name of exactly so many characters. */
function longName(kind: string, index: number, length = 190): string {
  return `team/${kind}-${index}-`.padEnd(length, "x");
}

describe.each([grpc, connectJson])("what is told of very many open waits by $name", ({ connect }) => {
  let server: TestServer;
  let client: TestClient;
  /** Has the waits open: in another protocol each call would be a connection. */
  let waiters: TestClient;
  let aborts: AbortController[] = [];
  beforeAll(async () => {
    server = await startTestServer();
    client = connect(server.url);
    waiters = grpc.connect(server.url);
  });
  afterAll(async () => {
    for (const abort of aborts) abort.abort();
    client.disconnect();
    waiters.disconnect();
    await server[Symbol.asyncDispose]();
  });

  /** Opens one wait for each list of conditions, in their order, and resolves when all are open. */
  async function openWaits(
    coordinationId: string,
    conditionsOf: readonly ConditionInit[][],
    nameOf = (index: number) => `waiter-${index}`,
  ): Promise<void> {
    await waiters.signals.sendSignal(note(coordinationId, "begun"));
    const before = aborts.length;
    aborts = [...aborts, ...conditionsOf.map(() => new AbortController())];
    for (const [index, conditions] of conditionsOf.entries()) {
      const { signal } = aborts[before + index] ?? new AbortController();
      const wait = { coordinationId, agentId: nameOf(index), conditions };
      waiters.coordinations.waitFor(wait, { signal }).catch(() => undefined);
    }
    await eventually(async () => expect(await openWaitCount(waiters, coordinationId)).toBe(conditionsOf.length));
  }

  test("100 agents that wait for 30 things each, for which nobody is named, are all there", async () => {
    const coordinationId = newCoordinationId();
    const conditions = Array.from({ length: 30 }, (_, index) => model(`Model${index}`));
    await openWaits(
      coordinationId,
      Array.from({ length: 100 }, () => conditions),
      (index) => `generator-${String(index).padStart(3, "0")}`,
    );
    for (const format of textFormats) {
      const { waits, waitCount, agents } = await client.coordinations.getWaitGraph({ coordinationId, format });
      expect([waits.length, waitCount, agents.length]).toEqual([100, 100n, 100]);
      expect(waits.map(({ pendingConditions }) => pendingConditions.length)).toEqual(waits.map(() => 30));
    }
    const { waits, waitCount } = await client.coordinations.getCoordination({ coordinationId });
    expect([waits.length, waitCount]).toEqual([100, 100n]);
  });

  test("waits too large to be told together are cut, the oldest first, and counted", async () => {
    const coordinationId = newCoordinationId();
    const expression = (index: number) => `signal.inter_agent_message.message == "${"x".repeat(600)}${index}"`;
    const conditions = Array.from({ length: 95 }, (_, index) => signalCondition(expression(index)));
    await openWaits(
      coordinationId,
      Array.from({ length: 100 }, () => conditions),
    );
    const { waits, waitCount } = await client.coordinations.getWaitGraph({ coordinationId });
    expect(waits.length).toBeGreaterThan(1);
    expect(waits.length).toBeLessThan(100);
    expect(waitCount).toBe(100n);
    const starts = waits.map(({ waitId }) => waitId);
    expect(starts).toEqual([...starts].sort());
    const overview = await client.coordinations.getCoordination({ coordinationId });
    expect(overview.waits.map(({ waitId }) => waitId)).toEqual(starts);
    expect(overview.waitCount).toBe(100n);
  });

  test("agents with long names that wait for each other by the thousand leave room for each other", async () => {
    const coordinationId = newCoordinationId();
    const named = (from: number) => Array.from({ length: 100 }, (_, index) => longName("worker", from + index));
    await openWaits(
      coordinationId,
      Array.from({ length: 300 }, (_, index) => [model("X", ...named(100 * (index % 3)))]),
      (index) => longName("waiter", index),
    );
    for (const format of textFormats) {
      const graph = await client.coordinations.getWaitGraph({ coordinationId, format });
      expect(graph.waitCount).toBe(300n);
      expect(graph.waits.length).toBeGreaterThan(0);
      expect(graph.edges.length).toBeGreaterThan(0);
      const ids = new Set(graph.waits.map(({ waitId }) => waitId));
      for (const { waitId } of graph.edges) expect(ids).toContain(waitId);
    }
    const overview = await client.coordinations.getCoordination({ coordinationId });
    expect(overview.unreportedAgentCount).toBe(300n);
    expect(overview.unreportedAgents.length).toBeGreaterThan(0);
  });

  test("registered agents with much to tell of themselves are cut and counted", async () => {
    const coordinationId = newCoordinationId();
    const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`key-${index}`, "v".repeat(1_000)]));
    for (let index = 0; index < 300; index++) {
      await waiters.agents.registerAgent({ coordinationId, agentId: `agent-${index}`, metadata });
    }
    const { agents, agentCount } = await client.coordinations.getCoordination({ coordinationId });
    expect(agents.length).toBeGreaterThan(0);
    expect(agents.length).toBeLessThan(300);
    expect(agentCount).toBe(300n);
  });
});

function signalCondition(expression: string): ConditionInit {
  return { condition: { case: "signal", value: { expression } } };
}
