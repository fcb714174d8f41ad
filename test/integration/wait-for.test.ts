import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { WaitMode } from "@coordination-signals/proto/coordination/v1/wait";
import { describe, expect, test } from "@jest/globals";
import { deadlineOf } from "../support/deadline-of.js";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { serverForAll } from "../support/server-for-all.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import {
  completionOf,
  initialisationOf,
  messageOfType,
  model,
  openWaitAs,
  openWaitCount,
  sequencesOf,
  type WaitInit,
} from "../support/waiting.js";

const short = durationFromMs(20);
const long = durationFromMs(60_000);

describe.each(protocols)("WaitFor by $name", ({ connect }) => {
  let server: TestServer;
  let client: TestClient;
  serverForAll((...started) => {
    [client, server] = started;
  }, connect);

  test("is answered from history with the sequence of each condition, and when what is missing comes", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(resolved(coordinationId, "User"));
    await client.signals.sendSignal(note(coordinationId, "hello", { event: message("ready") }));
    const conditions = [model("User"), messageOfType("ready")];
    expect(sequencesOf(await client.coordinations.waitFor({ coordinationId, agentId: "w", conditions }))).toEqual([
      1, 2,
    ]);
    const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [...conditions, model("Post")] });
    await client.signals.sendSignal(resolved(coordinationId, "Post"));
    expect(sequencesOf(await open.answer)).toEqual([1, 2, 3]);
    await eventually(async () => expect(await openWaitCount(client, coordinationId)).toBe(0));
  });

  test("ends by itself, with what is missing, before its call's deadline does it", async () => {
    const coordinationId = newCoordinationId();
    const wait = { coordinationId, agentId: "w", conditions: [model("Post")], timeout: long };
    const refusal = await refusalOf(client.coordinations.waitFor(wait, { headers: deadlineOf(400) }));
    expect(refusal).toMatchObject({
      code: "DeadlineExceeded",
      reason: "WAIT_TIMEOUT",
      metadata: { missing_0: 'dependency model "Post"' },
    });
  });

  test("is counted by how it ends: answered, refused, left or out of time", async () => {
    const coordinationId = newCoordinationId();
    const before = await endedCalls(server.url);
    await client.signals.sendSignal(resolved(coordinationId, "User"));
    const wait = { coordinationId, agentId: "w", conditions: [model("User")] };
    await client.coordinations.waitFor(wait);
    await refusalOf(client.coordinations.waitFor({ ...wait, conditions: [] }));
    const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [model("Post")] });
    open.abort.abort();
    expect(await refusalOf(open.answer)).toMatchObject({ code: "Canceled" });
    const late = client.coordinations.waitFor({ ...wait, conditions: [model("Post")] }, { timeoutMs: 50 });
    expect(await refusalOf(late)).toMatchObject({ code: "DeadlineExceeded" });
    await eventually(async () => {
      const after = await endedCalls(server.url);
      expect(after.map((count, index) => count - (before[index] ?? 0))).toEqual([1, 1, 2]);
    });
    expect(await openWaitCount(client, coordinationId)).toBe(0);
  });
});

/** Calls of WaitFor that were answered, that were refused, and that were left, by the client itself or at the deadline. */
async function endedCalls(url: string): Promise<readonly number[]> {
  const method = "coordination.v1.CoordinationService/WaitFor";
  const metrics = await scrapeMetrics(url);
  const ended = (code: string) => metrics.value("coordination_calls_total", { method, code });
  return [ended("OK"), ended("InvalidArgument"), ended("Canceled") + ended("DeadlineExceeded")];
}

function message(messageType: string) {
  return { case: "interAgentMessage", value: { messageType, message: "" } } as const;
}

function resolved(coordinationId: string, dependencyId: string, senderAgentId = "sender") {
  return {
    coordinationId,
    senderAgentId,
    event: { case: "dependencyResolved", value: { dependencyType: "model", dependencyId } },
  } as const;
}

describe("WaitFor", () => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  });

  const complete = (coordinationId: string, senderAgentId: string, value: object = {}) =>
    client.signals.sendSignal({ coordinationId, senderAgentId, event: { case: "agentCompleted", value } });
  const initialise = (coordinationId: string, senderAgentId: string, ready = true) =>
    client.signals.sendSignal({ coordinationId, senderAgentId, event: { case: "agentInitialized", value: { ready } } });
  const register = (coordinationId: string, agentId: string, provides: [string, string][] = []) =>
    client.agents.registerAgent({
      coordinationId,
      agentId,
      provides: provides.map(([dependencyType, dependencyId]) => ({ dependencyType, dependencyId })),
    });
  const waitFor = (coordinationId: string, wait: WaitInit) => client.coordinations.waitFor({ coordinationId, ...wait });

  describe("agents' milestones", () => {
    test("INITIALIZED is the latest AgentInitialized, ready or not, also of an agent that has completed", async () => {
      const coordinationId = newCoordinationId();
      const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [initialisationOf("a")] });
      await initialise(coordinationId, "a", false);
      expect(sequencesOf(await open.answer)).toEqual([1]);
      await initialise(coordinationId, "a");
      await complete(coordinationId, "a");
      const conditions = [initialisationOf("a"), completionOf("a")];
      expect(sequencesOf(await waitFor(coordinationId, { agentId: "w", conditions }))).toEqual([2, 3]);
    });

    test("a completion counts until the agent initialises again, whatever it registers or deregisters", async () => {
      const coordinationId = newCoordinationId();
      await initialise(coordinationId, "a");
      await complete(coordinationId, "a");
      await register(coordinationId, "a");
      const wait = { agentId: "w", conditions: [completionOf("a")], timeout: short };
      expect(sequencesOf(await waitFor(coordinationId, wait))).toEqual([2]);
      await client.agents.deregisterAgent({ coordinationId, agentId: "a" });
      expect(sequencesOf(await waitFor(coordinationId, wait))).toEqual([2]);
      await initialise(coordinationId, "a");
      expect(await refusalOf(waitFor(coordinationId, wait))).toMatchObject({ reason: "WAIT_TIMEOUT" });
    });

    test("a completion with an error fails the wait and names it", async () => {
      const coordinationId = newCoordinationId();
      const open = await openWaitAs(client, coordinationId, {
        agentId: "w",
        conditions: [model("User"), completionOf("parser")],
      });
      await complete(coordinationId, "parser", { error: "cannot read the contract" });
      expect(await refusalOf(open.answer)).toMatchObject({
        code: "FailedPrecondition",
        reason: "DEPENDENCY_FAILED",
        message: expect.stringContaining("cannot read the contract"),
        metadata: { condition_index: "1", agent_id: "parser", sequence: "1", error: "cannot read the contract" },
      });
    });

    test.each([
      [{ qualityScore: 0.79 }, "with quality_score 0.79"],
      [{}, "without a quality_score"],
    ])("a completion %o below min_quality_score fails the wait", async (value, message) => {
      const coordinationId = newCoordinationId();
      await complete(coordinationId, "parser", value);
      const refusal = await refusalOf(
        waitFor(coordinationId, { agentId: "w", conditions: [completionOf("parser", 0.8)] }),
      );
      expect(refusal).toMatchObject({
        reason: "DEPENDENCY_FAILED",
        message: expect.stringContaining(message),
        metadata: { min_quality_score: "0.8" },
      });
    });

    test("a completion of exactly min_quality_score meets it", async () => {
      const coordinationId = newCoordinationId();
      await complete(coordinationId, "parser", { qualityScore: 0.8 });
      const answer = await waitFor(coordinationId, { agentId: "w", conditions: [completionOf("parser", 0.8)] });
      expect(sequencesOf(answer)).toEqual([1]);
    });
  });

  describe("dependencies", () => {
    test("are met by whoever resolves them, not only by those they are expected from", async () => {
      const coordinationId = newCoordinationId();
      const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [model("User", "generator")] });
      await client.signals.sendSignal(resolved(coordinationId, "User", "somebody-else"));
      expect(sequencesOf(await open.answer)).toEqual([1]);
    });

    test("fail once all they are expected from have completed with an error", async () => {
      const coordinationId = newCoordinationId();
      const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [model("User", "g1", "g2")] });
      await complete(coordinationId, "g1", { error: "first" });
      expect(await openWaitCount(client, coordinationId)).toBe(1);
      await complete(coordinationId, "g2", { error: "second" });
      expect(await refusalOf(open.answer)).toMatchObject({
        reason: "DEPENDENCY_FAILED",
        metadata: { condition: 'dependency model "User"', agent_id: "g1", dependency_id: "User" },
      });
    });
  });

  describe("modes", () => {
    test("ANY is met by one condition and answers which", async () => {
      const coordinationId = newCoordinationId();
      const open = await openWaitAs(client, coordinationId, {
        agentId: "w",
        mode: WaitMode.ANY,
        conditions: [model("User"), model("Post")],
      });
      await client.signals.sendSignal(resolved(coordinationId, "Post"));
      const { conditions } = await open.answer;
      expect(conditions).toMatchObject([
        { satisfied: false, sequence: 0n },
        { satisfied: true, sequence: 1n },
      ]);
    });

    test("AT_LEAST and ANY fail only when too few conditions are left", async () => {
      const coordinationId = newCoordinationId();
      const conditions = [completionOf("a"), completionOf("b"), completionOf("c")];
      const two = { agentId: "w", mode: WaitMode.AT_LEAST, atLeast: 2, conditions };
      const open = await openWaitAs(client, coordinationId, two);
      const any = await openWaitAs(client, coordinationId, { agentId: "w", mode: WaitMode.ANY, conditions });
      await complete(coordinationId, "a", { error: "broken" });
      expect(await openWaitCount(client, coordinationId)).toBe(2);
      await complete(coordinationId, "b", { error: "broken too" });
      expect(await refusalOf(open.answer)).toMatchObject({ reason: "DEPENDENCY_FAILED", metadata: { agent_id: "a" } });
      await complete(coordinationId, "c");
      expect(sequencesOf(await any.answer)).toEqual([0, 0, 3]);
    });
  });

  describe("signals", () => {
    test("are matched from the retained history, whomever they were addressed to", async () => {
      const coordinationId = newCoordinationId();
      await register(coordinationId, "x");
      await client.signals.sendSignal(note(coordinationId, "1"));
      await client.signals.sendSignal(note(coordinationId, "2", { recipientAgentIds: ["x"], event: message("go") }));
      await client.signals.sendSignal(note(coordinationId, "3", { event: message("go") }));
      const answer = await waitFor(coordinationId, { agentId: "w", conditions: [messageOfType("go")] });
      expect(sequencesOf(answer)).toEqual([2]);
    });

    test("that come one after the other meet a wait for several of them", async () => {
      const coordinationId = newCoordinationId();
      const conditions = [messageOfType("one"), messageOfType("two", "sender")];
      const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions });
      await client.signals.sendSignal(note(coordinationId, "1", { event: message("two") }));
      await client.signals.sendSignal(note(coordinationId, "2", { event: message("two") }));
      await client.signals.sendSignal(note(coordinationId, "3", { event: message("one") }));
      expect(sequencesOf(await open.answer)).toEqual([3, 1]);
    });
  });

  describe("ends", () => {
    test("with WAIT_TIMEOUT, what is missing and who could bring it", async () => {
      const coordinationId = newCoordinationId();
      await register(coordinationId, "generator", [["model", "User*"]]);
      await register(coordinationId, "bystander");
      await complete(coordinationId, "done");
      const conditions = [model("UserModel"), model("Post"), completionOf("never-seen"), model("Tag", "done")];
      const refusal = await refusalOf(waitFor(coordinationId, { agentId: "w", conditions, timeout: short }));
      expect(refusal).toMatchObject({
        code: "DeadlineExceeded",
        reason: "WAIT_TIMEOUT",
        metadata: {
          missing_count: "4",
          missing_0: 'dependency model "UserModel"',
          missing_0_from: "generator",
          missing_1_from: "bystander,generator",
          missing_2: 'agent "never-seen" completed',
          missing_3_from: "done",
          orphan: "true",
        },
      });
      expect(refusal.message).toContain(
        'agent "never-seen" completed, which these could bring: never-seen (not registered)',
      );
      expect(refusal.message).toContain("done (completed)");
      expect(await openWaitCount(client, coordinationId)).toBe(0);
    });

    test("with WAIT_TIMEOUT that names no signal that has come, and tells what has failed", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal({ coordinationId, senderAgentId: "a", event: message("go") });
      await complete(coordinationId, "a", { error: "it broke" });
      const conditions = [messageOfType("go"), completionOf("a"), model("Post")];
      const wait = { agentId: "w", conditions, mode: WaitMode.AT_LEAST, atLeast: 2, timeout: short };
      const refusal = await refusalOf(waitFor(coordinationId, wait));
      expect(refusal.message).toContain('2 of 3 conditions are not met: dependency model "Post", nobody is there');
      expect(refusal.message).toContain('agent "a" completed with an error: it broke');
      expect(refusal.metadata).toMatchObject({ missing_count: "1", failed_count: "1" });
    });

    test("when the coordination is closed, also for those who come later", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(resolved(coordinationId, "User"));
      const open = await openWaitAs(client, coordinationId, {
        agentId: "w",
        conditions: [model("Post")],
        timeout: long,
      });
      await client.coordinations.closeCoordination({ coordinationId, reason: "done" });
      expect(await refusalOf(open.answer)).toMatchObject({ code: "FailedPrecondition", reason: "COORDINATION_CLOSED" });
      const late = waitFor(coordinationId, { agentId: "w", conditions: [model("Post")] });
      expect(await refusalOf(late)).toMatchObject({ reason: "COORDINATION_CLOSED" });
      const known = await waitFor(coordinationId, { agentId: "w", conditions: [model("User")] });
      expect(sequencesOf(known)).toEqual([1]);
    });

    test("when the coordination is deleted", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(resolved(coordinationId, "User"));
      const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [model("Post")] });
      await client.coordinations.deleteCoordination({ coordinationId });
      expect(await refusalOf(open.answer)).toMatchObject({ code: "NotFound", reason: "COORDINATION_NOT_FOUND" });
    });

    test("when the caller leaves, without a trace", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(resolved(coordinationId, "User"));
      const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [model("Post")] });
      open.abort.abort();
      expect(await refusalOf(open.answer)).toMatchObject({ code: "Canceled" });
      await eventually(async () => expect(await openWaitCount(client, coordinationId)).toBe(0));
    });

    test("with UNAVAILABLE when the server stops", async () => {
      await using stopping = await startTestServer();
      using other = grpc.connect(stopping.url);
      const open = await openWaitAs(other, "stopping", { agentId: "w", conditions: [model("User")] });
      await stopping.stop();
      expect(await refusalOf(open.answer)).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN" });
    });
  });

  test("waits for a coordination that does not exist, and creates nothing", async () => {
    const coordinationId = newCoordinationId();
    const open = await openWaitAs(client, coordinationId, { agentId: "w", conditions: [model("User")] });
    expect(await refusalOf(client.coordinations.getCoordination({ coordinationId }))).toMatchObject({
      reason: "COORDINATION_NOT_FOUND",
    });
    await client.signals.sendSignal(resolved(coordinationId, "User"));
    expect(sequencesOf(await open.answer)).toEqual([1]);
  });

  test("outlives trimming for dependencies and milestones, and sees retained history for signals", async () => {
    await using small = await startTestServer(["--max-history-signals", "3"]);
    using own = grpc.connect(small.url);
    const coordinationId = newCoordinationId();
    await own.signals.sendSignal(resolved(coordinationId, "User"));
    await own.signals.sendSignal({ coordinationId, senderAgentId: "a", event: { case: "agentCompleted", value: {} } });
    await own.signals.sendSignal(note(coordinationId, "gone", { event: message("go") }));
    for (let count = 0; count < 10; count++) await own.signals.sendSignal(note(coordinationId));
    await own.signals.sendSignal(note(coordinationId, "kept", { event: message("go") }));
    const conditions = [model("User"), completionOf("a"), messageOfType("go")];
    const answer = await own.coordinations.waitFor({ coordinationId, agentId: "w", conditions });
    expect(sequencesOf(answer)).toEqual([1, 2, 14]);
  });

  test("is refused for what contradicts itself, and nothing changes", async () => {
    const coordinationId = newCoordinationId();
    const refused = async (wait: WaitInit) => refusalOf(waitFor(coordinationId, { agentId: "w", ...wait }));
    const conditions = [model("User"), model("Post")];
    const invalid = { code: "InvalidArgument", reason: "INVALID_REQUEST" };
    expect(await refused({ conditions: [] })).toMatchObject(invalid);
    expect(await refused({ conditions: [{}] })).toMatchObject(invalid);
    expect(await refused({ conditions, mode: WaitMode.AT_LEAST, atLeast: 3 })).toMatchObject({
      ...invalid,
      message: "at_least is 3, it must be from 1 to the number of conditions, 2",
    });
    expect(await refused({ conditions, mode: WaitMode.AT_LEAST })).toMatchObject(invalid);
    expect(await refused({ conditions, mode: WaitMode.ANY, atLeast: 1 })).toMatchObject({
      ...invalid,
      message: "at_least is 1, which goes with WAIT_MODE_AT_LEAST only: mode is ANY",
    });
    expect(await refused({ conditions, mode: 9 as WaitMode })).toMatchObject(invalid);
    expect(await refused({ conditions, agentId: "../w" })).toMatchObject(invalid);
    expect(await refused({ conditions: [completionOf("")] })).toMatchObject(invalid);
    for (const score of [-0.1, 1.1, Number.NaN]) {
      expect(await refused({ conditions: [completionOf("a", score)] })).toMatchObject(invalid);
    }
    expect(await refused({ conditions, timeout: durationFromMs(3_600_001) })).toMatchObject(invalid);
    const initialised = initialisationOf("a");
    if (initialised.condition?.case === "agent") initialised.condition.value.minQualityScore = 0.5;
    expect(await refused({ conditions: [initialised] })).toMatchObject(invalid);
    const crowd = Array.from({ length: 100 }, (_, index) => `agent-${index}`.padEnd(200, "x"));
    expect(await refused({ conditions: Array.from("abcd", (name) => model(name, ...crowd)) })).toMatchObject({
      ...invalid,
      message: expect.stringMatching(/^the request to wait is 8\d{4} bytes, limit is 65536$/),
    });
    const filter = { condition: { case: "signal", value: { expression: "signal.nothing == 1" } } } as const;
    expect(await refused({ conditions: [model("User"), filter] })).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_FILTER",
      message: expect.stringMatching(/^conditions\[1\]\.signal: /),
    });
    expect(await openWaitCount(client, coordinationId)).toBe(0);
  });

  test("shows in GetCoordination who waits for what", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(resolved(coordinationId, "User"));
    const open = await openWaitAs(client, coordinationId, {
      agentId: "w",
      conditions: [model("User"), model("Post", "generator")],
      independent: true,
    });
    const { waits, waitCount } = await client.coordinations.getCoordination({ coordinationId });
    expect(waitCount).toBe(1n);
    expect(waits).toMatchObject([
      {
        agentId: "w",
        mode: WaitMode.ALL,
        independent: true,
        conditions: [model("User"), model("Post", "generator")],
        pendingConditions: [
          { conditionIndex: 1, description: 'dependency model "Post"', agentIds: ["generator"], anyone: false },
        ],
        orphan: true,
      },
    ]);
    open.abort.abort();
  });

  test("the youngest wait of a loop ends when the lease of the last agent that could act runs out", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId: "escape", lease: durationFromMs(500) });
    const conditions = [model("X", "y", "escape")];
    const older = await openWaitAs(client, coordinationId, { agentId: "x", conditions });
    const younger = waitFor(coordinationId, { agentId: "y", conditions: [completionOf("x")] });
    expect(await refusalOf(younger)).toMatchObject({
      code: "Aborted",
      reason: "DEADLOCK",
      metadata: { path: "y -> x -> y", agents: "y,x" },
    });
    expect(await openWaitCount(client, coordinationId)).toBe(1);
    older.abort.abort();
  });

  test("one more than the server's limit is refused", async () => {
    await using small = await startTestServer(["--max-waits", "1"]);
    using own = grpc.connect(small.url);
    const open = await openWaitAs(own, "c", { agentId: "w", conditions: [model("User")] });
    const refusal = await refusalOf(
      own.coordinations.waitFor({ coordinationId: "c", agentId: "w", conditions: [model("X")] }),
    );
    expect(refusal).toMatchObject({ code: "ResourceExhausted", reason: "TOO_MANY_WAITS", retryDelayMs: undefined });
    open.abort.abort();
  });

  test("enforced policies refuse a waiter that is not registered, and agents that were never seen", async () => {
    await using strict = await startTestServer(["--sender-validation", "enforce", "--wait-validation", "enforce"]);
    using own = grpc.connect(strict.url);
    const coordinationId = "strict";
    await own.agents.registerAgent({ coordinationId, agentId: "known" });
    const wait = (agentId: string, awaited: string) =>
      own.coordinations.waitFor({ coordinationId, agentId, conditions: [completionOf(awaited)], timeout: short });
    expect(await refusalOf(wait("stranger", "known"))).toMatchObject({ reason: "AGENT_NOT_REGISTERED" });
    expect(await refusalOf(wait("known", "knwon"))).toMatchObject({
      reason: "AGENT_NOT_FOUND",
      metadata: { agent_id: "knwon", nearest_agent: "known" },
    });
    const message = (...senders: string[]) =>
      own.coordinations.waitFor({
        coordinationId,
        agentId: "known",
        conditions: [messageOfType("any", ...senders)],
        timeout: short,
      });
    expect(await refusalOf(message("known", "nope", "kn*"))).toMatchObject({
      reason: "AGENT_NOT_FOUND",
      metadata: { agent_id: "nope" },
    });
    // A glob may stand for agents that have yet to come.
    expect(await refusalOf(message("known", "nope*"))).toMatchObject({ reason: "WAIT_TIMEOUT" });
  });
});
