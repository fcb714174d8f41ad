import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { grpc, type TestClient } from "../support/test-client.js";

describe("no silent success", () => {
  let server: SpawnedServer;
  let client: TestClient;

  beforeAll(async () => {
    server = await spawnServer();
    client = grpc.connect(server.url);
  });

  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  /** A coordination in which "sender" and "validator-generator" are known. */
  const begin = async (): Promise<string> => {
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId));
    await client.agents.registerAgent({ coordinationId, agentId: "validator-generator" });
    return coordinationId;
  };

  const storedCount = async (coordinationId: string): Promise<bigint> =>
    (await client.signals.getSignalMetrics({ coordinationId })).totalSignalsSent;

  const postJson = async (method: string, body: object) => {
    const response = await fetch(`${server.url}/coordination.v1.${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, text: await response.text() };
  };

  test("a signal for an agent that nobody saw is refused with the names that exist, nearest first", async () => {
    const coordinationId = await begin();
    const recipientAgentIds = ["validator-generator", "validator-genrator"];
    const refusal = await refusalOf(client.signals.sendSignal(note(coordinationId, "hello", { recipientAgentIds })));
    expect(refusal).toMatchObject({ code: "NotFound", reason: "AGENT_NOT_FOUND", domain: "coordination.v1" });
    expect(refusal.message).toContain('"validator-genrator"');
    expect(refusal.metadata).toMatchObject({
      agent_id: "validator-genrator",
      nearest_agent: "validator-generator",
      known_agents: "validator-generator,sender",
    });
    expect(await storedCount(coordinationId)).toBe(1n);
  });

  test("an agent that only subscribes is not known, so that nothing waits for it unseen", async () => {
    const coordinationId = await begin();
    const abort = new AbortController();
    const stream = client.signals.subscribe({ coordinationId, agentId: "listener" }, { signal: abort.signal });
    await stream[Symbol.asyncIterator]().next();
    const call = client.signals.sendSignal(note(coordinationId, "hello", { recipientAgentIds: ["listener"] }));
    expect(await refusalOf(call)).toMatchObject({ reason: "AGENT_NOT_FOUND" });
    abort.abort();
  });

  test("a batch says of each item that was refused why", async () => {
    const coordinationId = await begin();
    const requests = [
      note(coordinationId, "good"),
      note(coordinationId, "bad", { recipientAgentIds: ["nobody"] }),
      note("-bad id-"),
    ];
    const { results } = await client.signals.batchSendSignals({ requests });
    const outcomes = results.map(({ result }) =>
      result.case === "error" ? refusalFromStatus(result.value).reason : result.case,
    );
    expect(outcomes).toEqual(["response", "AGENT_NOT_FOUND", "INVALID_REQUEST"]);
  });

  test("an atomic batch with one bad item stores nothing and names the item", async () => {
    const coordinationId = await begin();
    const requests = [note(coordinationId, "good"), note(coordinationId, "bad", { recipientAgentIds: ["nobody"] })];
    const refusal = await refusalOf(client.signals.batchSendSignals({ requests, atomic: true }));
    expect(refusal).toMatchObject({ reason: "AGENT_NOT_FOUND", metadata: { index: "1" } });
    expect(await storedCount(coordinationId)).toBe(1n);
  });

  test("a field that does not exist is refused instead of ignored", async () => {
    const coordinationId = await begin();
    const signal = { coordinationId, senderAgentId: "sender", interAgentMessage: { messageType: "note" } };
    const { status, text } = await postJson("SignalService/SendSignal", { ...signal, recipients: ["nobody"] });
    expect(status).toBe(400);
    expect(text).toContain("recipients");
    expect(await storedCount(coordinationId)).toBe(1n);
  });

  test("a key of a filter that does not exist is refused instead of matching everything", async () => {
    const coordinationId = await begin();
    const filter = { signalType: "SIGNAL_TYPE_AGENT_COMPLETED" };
    const { status, text } = await postJson("SignalService/GetSignalHistory", { coordinationId, filter });
    expect(status).toBe(400);
    expect(text).toContain("signalType");
  });

  test("a send into a closed coordination is refused", async () => {
    const coordinationId = await begin();
    await client.coordinations.closeCoordination({ coordinationId });
    expect(await refusalOf(client.signals.sendSignal(note(coordinationId)))).toMatchObject({
      code: "FailedPrecondition",
      reason: "COORDINATION_CLOSED",
    });
  });

  test("reading what does not exist is refused instead of empty", async () => {
    const coordinationId = newCoordinationId();
    const reads = [
      client.signals.getSignalHistory({ coordinationId }),
      client.signals.getSignalMetrics({ coordinationId }),
      client.coordinations.getCoordination({ coordinationId }),
    ];
    for (const read of reads) expect(await refusalOf(read)).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
  });
});
