import { timestampMs } from "@bufbuild/protobuf/wkt";
import { GraphFormat } from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { WaitOutcome } from "@coordination-signals/proto/coordination/v1/timeline";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import type { TestClient } from "../support/test-client.js";

describe("A request is seen while it waits for its reply", () => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  });

  const withAgents = async (...agentIds: readonly string[]): Promise<string> => {
    const coordinationId = newCoordinationId();
    for (const agentId of agentIds) await client.agents.registerAgent({ coordinationId, agentId });
    return coordinationId;
  };
  const ask = (coordinationId: string, from: string, to: readonly string[], responseTimeoutMs = 60_000) =>
    client.signals.requestSignal({
      request: note(coordinationId, "?", {
        senderAgentId: from,
        recipientAgentIds: [...to],
        event: { case: "interAgentMessage", value: { messageType: "ask", message: "?", responseTimeoutMs } },
      }),
    });
  const answer = (coordinationId: string, from: string, { signalId }: Pick<CoordinationSignal, "signalId">) =>
    client.signals.sendSignal(note(coordinationId, "!", { senderAgentId: from, correlationId: signalId }));
  const openWaits = async (coordinationId: string, count: number) =>
    eventually(async () => {
      const graph = await client.coordinations.getWaitGraph({ coordinationId, format: GraphFormat.MERMAID });
      expect(graph.waits).toHaveLength(count);
      return graph;
    });
  const newest = async (coordinationId: string): Promise<CoordinationSignal> => {
    const { signals } = await client.signals.getSignalHistory({ coordinationId });
    const [signal] = signals;
    if (signal === undefined) throw new Error("nothing was sent");
    return signal;
  };
  const waitsOf = async (coordinationId: string, agentId: string) => {
    const { lanes } = await client.coordinations.getTimeline({ coordinationId });
    return lanes.find((lane) => lane.agentId === agentId)?.waits ?? [];
  };

  test("in the wait graph, in what is going on, and afterwards in the timeline", async () => {
    const coordinationId = await withAgents("runner", "validator");
    const call = ask(coordinationId, "runner", ["validator"]);
    const { waits, edges, text } = await openWaits(coordinationId, 1);
    const request = await newest(coordinationId);
    expect(waits).toMatchObject([
      {
        agentId: "runner",
        independent: true,
        orphan: false,
        deadlocked: false,
        pendingConditions: [{ description: "a reply to signal 1", agentIds: ["validator"], anyone: false }],
      },
    ]);
    expect(edges).toMatchObject([{ fromAgentId: "runner", toAgentId: "validator" }]);
    expect(text).toContain("a reply to signal 1");
    const { startTime, expireTime, conditions = [] } = waits[0] ?? {};
    const requestMs = request.timestamp === undefined ? 0 : timestampMs(request.timestamp);
    expect(expireTime && timestampMs(expireTime)).toBe(requestMs + 60_000);
    expect(startTime && timestampMs(startTime)).toBeGreaterThanOrEqual(requestMs);
    const { waits: shown } = await client.coordinations.getCoordination({ coordinationId });
    expect(shown).toMatchObject([{ agentId: "runner" }]);
    expect(await waitsOf(coordinationId, "runner")).toMatchObject([{ outcome: WaitOutcome.UNSPECIFIED }]);

    // What it is shown to wait for is what ends it: neither its own signals nor those that answer something else.
    await answer(coordinationId, "runner", request);
    await answer(coordinationId, "validator", { signalId: "another" });
    const { sequence } = await answer(coordinationId, "validator", request);
    expect(await call).toMatchObject({ reply: { sequence } });
    const other = { coordinationId, agentId: "other", conditions };
    expect(await client.coordinations.waitFor(other)).toMatchObject({ conditions: [{ satisfied: true, sequence }] });
    await openWaits(coordinationId, 0);
    expect(await waitsOf(coordinationId, "runner")).toMatchObject([
      {
        outcome: WaitOutcome.SATISFIED,
        endSequence: sequence,
        independent: true,
        conditions: [{ description: "a reply to signal 1", sequence, agentIds: ["validator"] }],
      },
    ]);
  });

  test("and agents that ask each other are no deadlock", async () => {
    const coordinationId = await withAgents("a", "b");
    const first = ask(coordinationId, "a", ["b"]);
    await openWaits(coordinationId, 1);
    const asked = await newest(coordinationId);
    const second = ask(coordinationId, "b", ["a"]);
    const { loops } = await openWaits(coordinationId, 2);
    expect(loops).toEqual([]);
    await answer(coordinationId, "a", await newest(coordinationId));
    await second;
    await answer(coordinationId, "b", asked);
    await first;
    await openWaits(coordinationId, 0);
  });

  test("as an orphan once nobody is there to reply", async () => {
    const coordinationId = await withAgents("asker", "answerer");
    const call = ask(coordinationId, "asker", ["answerer"]);
    await openWaits(coordinationId, 1);
    await client.agents.deregisterAgent({ coordinationId, agentId: "answerer" });
    const { waits } = await client.coordinations.getWaitGraph({ coordinationId });
    expect(waits).toMatchObject([{ orphan: true }]);
    await answer(coordinationId, "answerer", await newest(coordinationId));
    await call;
  });

  test("afterwards as timed out where no reply came", async () => {
    const coordinationId = await withAgents("asker", "answerer");
    expect(await refusalOf(ask(coordinationId, "asker", ["answerer"], 20))).toMatchObject({
      reason: "REQUEST_TIMEOUT",
    });
    await openWaits(coordinationId, 0);
    expect(await waitsOf(coordinationId, "asker")).toMatchObject([{ outcome: WaitOutcome.TIMED_OUT, endSequence: 0n }]);
  });

  test("not at all when it is refused, and no more when its caller has left", async () => {
    const coordinationId = await withAgents("asker");
    expect(await refusalOf(ask(coordinationId, "asker", []))).toMatchObject({ reason: "NO_RESPONDERS" });
    await client.agents.registerAgent({ coordinationId, agentId: "answerer" });
    const leaving = new AbortController();
    const call = client.signals.requestSignal(
      { request: note(coordinationId, "?", { senderAgentId: "asker" }) },
      { signal: leaving.signal },
    );
    const left = refusalOf(call);
    await openWaits(coordinationId, 1);
    leaving.abort();
    expect(await left).toMatchObject({ code: "Canceled" });
    await openWaits(coordinationId, 0);
    expect(await waitsOf(coordinationId, "asker")).toMatchObject([{ outcome: WaitOutcome.CANCELLED }]);
  });
});
