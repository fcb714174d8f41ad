import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { deadlineOf } from "../support/deadline-of.js";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, type SignalInit } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { protocols, type TestClient } from "../support/test-client.js";

interface Question {
  readonly to?: readonly string[];
  readonly timeoutMs?: number;
  readonly requestId?: string;
}

function questionOf(coordinationId: string, { to = [], timeoutMs, requestId = "" }: Question = {}): SignalInit {
  const timeout = timeoutMs === undefined ? {} : { responseTimeoutMs: timeoutMs };
  return {
    coordinationId,
    senderAgentId: "asker",
    recipientAgentIds: [...to],
    requestId,
    event: { case: "interAgentMessage", value: { messageType: "ask", message: "validator?", ...timeout } },
  };
}

describe.each(protocols)("RequestSignal by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  test("answers with the request as stored and the signal that names it", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "answerer" });
    const call = client.signals.requestSignal({ request: questionOf(coordinationId, { to: ["answerer"] }) });
    const [asked] = await untilStored(client, coordinationId, 1);
    await reply(client, coordinationId, "");
    await reply(client, coordinationId, asked?.signalId ?? "");
    const { request, reply: answer } = await call;
    expect(request).toMatchObject({
      signalId: asked?.signalId,
      sequence: 1n,
      event: { case: "interAgentMessage", value: { requiresResponse: true } },
    });
    expect(answer).toMatchObject({ senderAgentId: "answerer", sequence: 3n, correlationId: asked?.signalId });
  });

  test("ends by itself, with the request's name, before its call's deadline does it", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "answerer" });
    const request = questionOf(coordinationId, { requestId: "r" });
    const refusal = await refusalOf(client.signals.requestSignal({ request }, { headers: deadlineOf(400) }));
    expect(refusal).toMatchObject({ code: "DeadlineExceeded", reason: "REQUEST_TIMEOUT", metadata: { sequence: "1" } });
    const again = client.signals.requestSignal({ request });
    await reply(client, coordinationId, refusal.metadata["signal_id"] ?? "");
    expect(await again).toMatchObject({ request: { sequence: 1n }, reply: { sequence: 2n } });
  });
});

async function untilStored(client: TestClient, coordinationId: string, count: number) {
  return eventually(async () => {
    const { signals } = await client.signals.getSignalHistory({
      coordinationId,
      filter: { signalTypes: [SignalType.INTER_AGENT_MESSAGE] },
    });
    if (signals.length < count) throw new Error(`${signals.length} signals are stored`);
    return signals;
  });
}

async function reply(client: TestClient, coordinationId: string, correlationId: string): Promise<void> {
  await client.signals.sendSignal({
    coordinationId,
    senderAgentId: "answerer",
    correlationId,
    event: { case: "interAgentMessage", value: { messageType: "answer", message: "here" } },
  });
}

describe("RequestSignal", () => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  });

  const newCoordination = async (): Promise<string> => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "answerer" });
    return coordinationId;
  };
  const ask = (coordinationId: string, question?: Question) =>
    client.signals.requestSignal({ request: questionOf(coordinationId, question) });

  test("is refused at once and stores nothing when nobody can reply", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "asker" });
    await client.agents.registerAgent({ coordinationId, agentId: "gone", lease: durationFromMs(100) });
    await eventually(async () => {
      const { agent } = await client.agents.getAgent({ coordinationId, agentId: "gone" });
      expect(agent?.state).toBe(AgentState.OFFLINE);
    });
    expect(await refusalOf(ask(coordinationId, { to: ["gone"] }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "NO_RESPONDERS",
      metadata: { recipients: "gone" },
    });
    expect(await refusalOf(ask(coordinationId))).toMatchObject({ reason: "NO_RESPONDERS" });
    const { coordination } = await client.coordinations.getCoordination({ coordinationId });
    const { headSequence = -1n } = coordination ?? {};
    expect(headSequence).toBe(0n);
  });

  test("creates no coordination for a request that nobody can answer", async () => {
    const coordinationId = newCoordinationId();
    expect(await refusalOf(ask(coordinationId))).toMatchObject({ reason: "NO_RESPONDERS" });
    expect(await refusalOf(client.coordinations.getCoordination({ coordinationId }))).toMatchObject({
      code: "NotFound",
    });
  });

  test("ends with REQUEST_TIMEOUT; a late reply stays in history, and answers the request when it is repeated", async () => {
    const coordinationId = await newCoordination();
    const question = { to: ["answerer"], timeoutMs: 20, requestId: "r" };
    const refusal = await refusalOf(ask(coordinationId, question));
    expect(refusal).toMatchObject({
      code: "DeadlineExceeded",
      reason: "REQUEST_TIMEOUT",
      metadata: { sequence: "1", recipients: "answerer" },
    });
    await reply(client, coordinationId, refusal.metadata["signal_id"] ?? "");
    expect(await untilStored(client, coordinationId, 2)).toMatchObject([{ sequence: 2n }, { sequence: 1n }]);
    expect(await ask(coordinationId, question)).toMatchObject({ request: { sequence: 1n }, reply: { sequence: 2n } });
    expect(await untilStored(client, coordinationId, 2)).toHaveLength(2);
  });

  test("waits twice for one reply when it is repeated meanwhile", async () => {
    const coordinationId = await newCoordination();
    const first = ask(coordinationId, { requestId: "r" });
    const [asked] = await untilStored(client, coordinationId, 1);
    const second = ask(coordinationId, { requestId: "r" });
    await reply(client, coordinationId, asked?.signalId ?? "");
    expect(await first).toMatchObject({ reply: { sequence: 2n } });
    expect(await second).toMatchObject({ reply: { sequence: 2n } });
  });

  test("is not answered by what its own agent sends about it", async () => {
    const coordinationId = await newCoordination();
    const call = ask(coordinationId, { to: ["answerer"] });
    const [asked] = await untilStored(client, coordinationId, 1);
    const correlationId = asked?.signalId ?? "";
    await client.signals.sendSignal(note(coordinationId, "still waiting", { senderAgentId: "asker", correlationId }));
    await reply(client, coordinationId, correlationId);
    expect(await call).toMatchObject({ reply: { senderAgentId: "answerer", sequence: 3n } });
    const { lanes } = await client.coordinations.getTimeline({ coordinationId });
    const repliedTo = lanes.flatMap(({ signals }) => signals.map((each) => [each.sequence, each.replyToSequence]));
    expect(new Map(repliedTo as [bigint, bigint][])).toEqual(
      new Map([
        [1n, 0n],
        [2n, 0n],
        [3n, 1n],
      ]),
    );
  });

  test("ends when its coordination is closed, and when it is rolled back", async () => {
    const coordinationId = await newCoordination();
    const closing = refusalOf(ask(coordinationId));
    await untilStored(client, coordinationId, 1);
    await client.coordinations.closeCoordination({ coordinationId });
    expect(await closing).toMatchObject({ reason: "COORDINATION_CLOSED" });
    const other = await newCoordination();
    const rolledBack = refusalOf(ask(other));
    await untilStored(client, other, 1);
    await client.state.rollbackCoordination({ coordinationId: other, toSequence: 0n });
    expect(await rolledBack).toMatchObject({ code: "OutOfRange", reason: "ROLLED_BACK" });
  });

  test("ends when the caller leaves", async () => {
    const coordinationId = await newCoordination();
    const abort = new AbortController();
    const call = client.signals.requestSignal({ request: questionOf(coordinationId) }, { signal: abort.signal });
    call.catch(() => undefined);
    await untilStored(client, coordinationId, 1);
    abort.abort();
    expect(await refusalOf(call)).toMatchObject({ code: "Canceled" });
  });

  test("is refused for anything but a message, and for a time without end", async () => {
    const coordinationId = await newCoordination();
    const invalid = { code: "InvalidArgument", reason: "INVALID_REQUEST" };
    const completed: SignalInit = {
      coordinationId,
      senderAgentId: "asker",
      event: { case: "agentCompleted", value: {} },
    };
    expect(await refusalOf(client.signals.requestSignal({ request: completed }))).toMatchObject(invalid);
    expect(await refusalOf(client.signals.requestSignal({}))).toMatchObject(invalid);
    expect(await refusalOf(ask(coordinationId, { timeoutMs: 3_600_001 }))).toMatchObject(invalid);
    expect(await refusalOf(ask(coordinationId, { timeoutMs: 0 }))).toMatchObject(invalid);
    expect(await refusalOf(ask(coordinationId, { to: ["unknown"] }))).toMatchObject({ reason: "AGENT_NOT_FOUND" });
  });
});
