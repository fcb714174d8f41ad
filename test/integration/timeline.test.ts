import { durationFromMs, durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import {
  type GetTimelineResponse,
  GraphFormat,
  UnreportedKind,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import { CriticalLink, type TimelineWait, WaitOutcome } from "@coordination-signals/proto/coordination/v1/timeline";
import { afterAll, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, protocols, type TestClient } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { completionOf, messageOfType, model, openWaitAs } from "../support/waiting.js";

const postgres = await openTestPostgres();
afterAll(async () => postgres?.[Symbol.asyncDispose]());

const send = (client: TestClient, coordinationId: string, senderAgentId: string, event: object, rest: object = {}) =>
  client.signals.sendSignal(note(coordinationId, "", { senderAgentId, event, ...rest } as never));
const initialized = { case: "agentInitialized", value: { ready: true } };
const completed = { case: "agentCompleted", value: { resultSummary: "done" } };
const resolved = (dependencyId: string) => ({
  case: "dependencyResolved",
  value: { dependencyType: "model", dependencyId },
});

/** A generator makes a model, a validator waits for it, a runner for the validator. The last wait ends before the last signal. */
async function playWorkflow(client: TestClient, coordinationId: string): Promise<void> {
  await send(client, coordinationId, "generator", initialized);
  const validator = await openWaitAs(client, coordinationId, { agentId: "validator", conditions: [model("User")] });
  const runner = await openWaitAs(client, coordinationId, {
    agentId: "runner",
    conditions: [completionOf("validator"), messageOfType("never", "generator")],
    mode: 2,
  });
  await send(client, coordinationId, "generator", resolved("User"));
  await validator.answer;
  await send(client, coordinationId, "validator", completed);
  await runner.answer;
  await send(client, coordinationId, "runner", completed);
}

function waitsOf({ lanes }: GetTimelineResponse): ReadonlyMap<string, readonly TimelineWait[]> {
  return new Map(lanes.map(({ agentId, waits }) => [agentId, waits]));
}

/** What a workflow's timeline says whatever the store. */
function expectWorkflow(timeline: GetTimelineResponse): void {
  expect(timeline.lanes.map(({ agentId, signalCount }) => `${agentId} ${signalCount}`)).toEqual([
    "generator 2",
    "validator 1",
    "runner 1",
  ]);
  const waits = waitsOf(timeline);
  expect(waits.get("generator")).toEqual([]);
  expect(waits.get("validator")).toMatchObject([
    {
      outcome: WaitOutcome.SATISFIED,
      endSequence: 2n,
      conditions: [{ description: 'dependency model "User"', sequence: 2n, agentIds: ["generator"] }],
    },
  ]);
  expect(waits.get("runner")).toMatchObject([
    {
      outcome: WaitOutcome.SATISFIED,
      endSequence: 3n,
      needed: 1,
      conditions: [
        { sequence: 3n, agentIds: ["validator"] },
        { sequence: 0n, agentIds: ["generator"] },
      ],
    },
  ]);
  expect(timeline.edges.map((edge) => [edge.fromAgentId, edge.toAgentId, edge.sequence, edge.decisive])).toEqual([
    ["validator", "generator", 2n, true],
    ["runner", "validator", 3n, true],
    ["runner", "generator", 0n, false],
  ]);
  expect(timeline.criticalPath.map(({ sequence, agentId, link }) => [sequence, agentId, link])).toEqual([
    [1n, "generator", CriticalLink.START],
    [2n, "generator", CriticalLink.WORK],
    [3n, "validator", CriticalLink.WAIT],
    [4n, "runner", CriticalLink.WAIT],
  ]);
  expect(timeline.criticalPath[2]?.waitId).toBe(waits.get("validator")?.[0]?.waitId);
}

describe.each(protocols)("GetTimeline by $name", ({ connect }) => {
  test("tells who sent what, who waited for whom, and what determined the end", async () => {
    await using server = await startTestServer();
    using client = connect(server.url);
    const coordinationId = newCoordinationId();
    await playWorkflow(client, coordinationId);
    expectWorkflow(await client.coordinations.getTimeline({ coordinationId }));
  });
});

describe("GetTimeline", () => {
  let _server: TestServer;
  let client: TestClient;
  serverForAll((...started) => {
    [client, _server] = started;
  });

  test("answers COORDINATION_NOT_FOUND where there is none, and refuses a form that is none of a timeline", async () => {
    const missing = client.coordinations.getTimeline({ coordinationId: "missing" });
    expect(await refusalOf(missing)).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    const dot = client.coordinations.getTimeline({ coordinationId: "missing", format: GraphFormat.DOT });
    expect(await refusalOf(dot)).toMatchObject({ reason: "INVALID_REQUEST" });
  });

  test("tells how waits ended that did not end well", async () => {
    const coordinationId = newCoordinationId();
    await send(client, coordinationId, "sender", initialized);
    const refused = async (call: Promise<unknown>) => (await refusalOf(call)).reason;
    const timeout = durationFromMs(20);
    const timedOut = { coordinationId, agentId: "patient", conditions: [model("None", "sender")], timeout };
    expect(await refused(client.coordinations.waitFor(timedOut))).toBe("WAIT_TIMEOUT");
    const failing = await openWaitAs(client, coordinationId, { agentId: "hopeful", conditions: [completionOf("b")] });
    await send(client, coordinationId, "b", { case: "agentCompleted", value: { error: "broken" } });
    expect(await refused(failing.answer)).toBe("DEPENDENCY_FAILED");
    const given = await openWaitAs(client, coordinationId, { agentId: "impatient", conditions: [model("None")] });
    given.abort.abort();
    await openWaitAs(client, coordinationId, { agentId: "x", conditions: [completionOf("y")] });
    const loop = client.coordinations.waitFor({ coordinationId, agentId: "y", conditions: [completionOf("x")] });
    expect(await refused(loop)).toBe("DEADLOCK");
    await client.coordinations.closeCoordination({ coordinationId });
    const outcomes = async () => {
      const timeline = await client.coordinations.getTimeline({ coordinationId });
      return timeline.lanes.flatMap(({ agentId, waits }) =>
        waits.map(({ outcome, endSequence }) => `${agentId} ${WaitOutcome[outcome]} ${endSequence}`),
      );
    };
    await eventually(async () =>
      expect((await outcomes()).sort()).toEqual([
        "hopeful FAILED 2",
        "impatient CANCELLED 0",
        "patient TIMED_OUT 0",
        "x CLOSED 0",
        "y DEADLOCK 0",
      ]),
    );
    const timeline = await client.coordinations.getTimeline({ coordinationId });
    expect(waitsOf(timeline).get("patient")?.[0]?.conditions[0]?.agentIds).toEqual(["sender"]);
  });

  test("shows open waits, replies, messages to an agent, and a wait that was answered at once not at all", async () => {
    const coordinationId = newCoordinationId();
    await send(client, coordinationId, "a", initialized);
    await send(client, coordinationId, "b", initialized);
    const asked = await client.signals.sendSignal(
      note(coordinationId, "go", { senderAgentId: "a", recipientAgentIds: ["b"] }),
    );
    await client.coordinations.waitFor({ coordinationId, agentId: "b", conditions: [messageOfType("note", "a")] });
    await send(client, coordinationId, "b", resolved("X"));
    const { signalId: correlationId } = asked;
    await client.signals.sendSignal(note(coordinationId, "done", { senderAgentId: "c", correlationId }));
    const open = await openWaitAs(client, coordinationId, { agentId: "c", conditions: [model("Y")] });
    const timeline = await client.coordinations.getTimeline({ coordinationId });
    expect([...waitsOf(timeline)].map(([agentId, waits]) => `${agentId} ${waits.length}`)).toEqual([
      "a 0",
      "b 0",
      "c 1",
    ]);
    expect(waitsOf(timeline).get("c")).toMatchObject([{ outcome: WaitOutcome.UNSPECIFIED, endSequence: 0n }]);
    expect(waitsOf(timeline).get("c")?.[0]?.endTime).toBeUndefined();
    expect(timeline.lanes[2]?.signals).toMatchObject([{ sequence: 5n, replyToSequence: 3n }]);
    expect(timeline.criticalPath.map(({ sequence, link }) => [sequence, link])).toEqual([
      [1n, CriticalLink.START],
      [3n, CriticalLink.WORK],
      [5n, CriticalLink.REPLY],
    ]);
    const upTo4 = await client.coordinations.getTimeline({ coordinationId, untilSequence: 4n });
    expect(upTo4.criticalPath.map(({ sequence, link }) => [sequence, link])).toEqual([
      [1n, CriticalLink.START],
      [3n, CriticalLink.WORK],
      [4n, CriticalLink.MESSAGE],
    ]);
    expect(timestampMs(upTo4.endTime ?? never())).toBe(timestampMs(upTo4.criticalPath[2]?.endTime ?? never()));
    open.abort.abort();
  });

  test("ends the path with the last completion, and times join along it", async () => {
    const coordinationId = newCoordinationId();
    for (const agent of ["a", "b"]) await send(client, coordinationId, agent, completed);
    await client.signals.sendSignal(note(coordinationId, "late", { senderAgentId: "a" }));
    const timeline = await client.coordinations.getTimeline({ coordinationId });
    expect(timeline.criticalPath.map(({ sequence }) => sequence)).toEqual([2n]);
    const played = newCoordinationId();
    await playWorkflow(client, played);
    const { criticalPath, criticalPathDuration } = await client.coordinations.getTimeline({ coordinationId: played });
    for (const [index, { startTime }] of criticalPath.entries()) {
      if (index > 0) expect(startTime).toEqual(criticalPath[index - 1]?.endTime);
    }
    const [first, last] = [criticalPath[0]?.endTime, criticalPath.at(-1)?.endTime].map((time) =>
      timestampMs(time ?? never()),
    );
    expect(durationMs(criticalPathDuration ?? never())).toBe((last ?? 0) - (first ?? 0));
  });

  test("leaves out of the path, and of waits that ended, what was rolled back", async () => {
    const coordinationId = newCoordinationId();
    await send(client, coordinationId, "a", initialized);
    const wait = await openWaitAs(client, coordinationId, { agentId: "a", conditions: [model("X")] });
    await send(client, coordinationId, "b", resolved("X"));
    await wait.answer;
    await client.state.rollbackCoordination({ coordinationId, toSequence: 1n });
    await send(client, coordinationId, "a", completed);
    const timeline = await client.coordinations.getTimeline({ coordinationId });
    expect(timeline.criticalPath.map(({ sequence, link, waitId }) => [sequence, link, waitId])).toEqual([
      [1n, CriticalLink.START, ""],
      [3n, CriticalLink.WORK, ""],
    ]);
    expect(waitsOf(timeline).get("a")).toMatchObject([
      { outcome: WaitOutcome.SATISFIED, endSequence: 0n, conditions: [{ sequence: 0n, agentIds: [] }] },
    ]);
    expect(timeline.edges).toEqual([]);
  });

  test("is refused for a part that ends before it begins", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 4) });
    const part = { coordinationId, afterSequence: 3n };
    expect(await refusalOf(client.coordinations.getTimeline({ ...part, untilSequence: 2n }))).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_REQUEST",
      metadata: { field: "until_sequence" },
    });
    for (const untilSequence of [0n, 3n, 4n]) await client.coordinations.getTimeline({ ...part, untilSequence });
  });

  test("lists the last signals and counts the others; tells of a part", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 20) });
    const timeline = await client.coordinations.getTimeline({ coordinationId, maxSignals: 3 });
    expect(timeline).toMatchObject({ signalCount: 20n, unlistedSignals: 17n, firstSequence: 1n, lastSequence: 20n });
    expect(timeline.lanes[0]?.signals.map(({ sequence }) => sequence)).toEqual([18n, 19n, 20n]);
    expect(timeline.lanes[0]?.signalCount).toBe(20n);
    const part = await client.coordinations.getTimeline({ coordinationId, afterSequence: 5n, untilSequence: 8n });
    expect(part).toMatchObject({ signalCount: 3n, firstSequence: 6n, lastSequence: 8n, leftOutSignals: 0n });
    const beyond = await client.coordinations.getTimeline({ coordinationId, afterSequence: 500n });
    expect(beyond).toMatchObject({ signalCount: 0n, firstSequence: 0n, lastSequence: 0n, criticalPath: [] });
  });

  test("gives the same as a trace and as a Gantt chart, whatever names and texts hold", async () => {
    const coordinationId = newCoordinationId();
    await send(client, coordinationId, "a:b/c", {
      case: "agentCompleted",
      value: { resultSummary: '";</script>\n%% section x : crit, 1 #35; \u2028{}' },
    });
    const { text } = await client.coordinations.getTimeline({ coordinationId, format: GraphFormat.CHROME_TRACE });
    const { traceEvents } = JSON.parse(text) as { traceEvents: { ph: string; ts: number; pid: number; tid: number }[] };
    expect(traceEvents.length).toBeGreaterThan(3);
    for (const { ph, ts, pid, tid } of traceEvents) {
      expect(ph).toMatch(/^[MXisf]$/);
      for (const number of [ts, pid, tid]) expect(Number.isFinite(number)).toBe(true);
    }
    const gantt = await client.coordinations.getTimeline({ coordinationId, format: GraphFormat.MERMAID });
    expect(gantt.text.split("\n").slice(0, 4)).toEqual([
      "gantt",
      `  title ${coordinationId}`,
      "  dateFormat x",
      "  axisFormat %H:%M:%S",
    ]);
    expect(gantt.text).toContain("  section a\ua789b/c\n");
    expect(gantt.text).not.toMatch(/^ *section x/m);
  });

  test("does not show what the server keeps back", async () => {
    await using redacting = await startTestServer(["--redact", "message"]);
    using reader = grpc.connect(redacting.url);
    await reader.signals.sendSignal(note("secret", "s3cr3t"));
    const { lanes } = await reader.coordinations.getTimeline({ coordinationId: "secret" });
    expect(lanes[0]?.signals.map(({ summary }) => summary)).toEqual(["note [redacted]"]);
  });
});

describe("GetCoordination", () => {
  test("tells who has not reported: never seen, silent, or not finished, and who waits for them", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    for (const agentId of ["silent", "waiter", "left", "worker"]) {
      await client.agents.registerAgent({ coordinationId, agentId });
    }
    await client.agents.deregisterAgent({ coordinationId, agentId: "left" });
    await send(client, coordinationId, "worker", initialized);
    await send(client, coordinationId, "done", completed);
    await send(client, coordinationId, "failed", { case: "agentCompleted", value: { error: "broken" } });
    await send(client, coordinationId, "stranger", resolved("X"));
    const conditions = [completionOf("ghost"), completionOf("done"), model("Y", "worker"), model("X", "other")];
    const wait = await openWaitAs(client, coordinationId, { agentId: "waiter", conditions });
    const overview = await client.coordinations.getCoordination({ coordinationId });
    expect(
      overview.unreportedAgents.map(({ agentId, kind, awaitedBy }) => [agentId, UnreportedKind[kind], ...awaitedBy]),
    ).toEqual([
      ["ghost", "NEVER_SEEN", "waiter"],
      ["silent", "SILENT"],
      ["waiter", "SILENT"],
      ["worker", "UNFINISHED", "waiter"],
    ]);
    expect(overview.unreportedAgentCount).toBe(4n);
    expect(overview.unreportedAgents[2]?.state).toBe(AgentState.WAITING);
    wait.abort.abort();
  });
});

describe("ended waits", () => {
  test("are there after kill -9 once another signal was acknowledged, and after SIGTERM all of them", async () => {
    await using directory = await temporaryDirectory();
    const flags = ["--store", `lmdb:${directory.path}`];
    await using first = await spawnServer(flags);
    using client = grpc.connect(first.url);
    await playWorkflow(client, "killed");
    const before = await client.coordinations.getTimeline({ coordinationId: "killed" });
    first.kill("SIGKILL");
    await first.exited;
    await using second = await spawnServer(flags);
    using again = grpc.connect(second.url);
    const after = await again.coordinations.getTimeline({ coordinationId: "killed" });
    expectWorkflow(after);
    expect([...waitsOf(after)]).toEqual([...waitsOf(before)]);
    const wait = await openWaitAs(again, "killed", { agentId: "stopped", conditions: [model("None")] });
    await second.stop();
    await refusalOf(wait.answer);
    await using third = await spawnServer(flags);
    using last = grpc.connect(third.url);
    const stopped = waitsOf(await last.coordinations.getTimeline({ coordinationId: "killed" })).get("stopped");
    expect(stopped).toMatchObject([{ outcome: WaitOutcome.INTERRUPTED }]);
  });

  (postgres === undefined ? test.skip : test)("of one server are seen by the others that share its store", async () => {
    const url = (await postgres?.createDatabase()) ?? "";
    await using a = await startTestServer(["--store", url]);
    await using b = await startTestServer(["--store", url]);
    using one = grpc.connect(a.url);
    using other = grpc.connect(b.url);
    await playWorkflow(one, "shared");
    expectWorkflow(await other.coordinations.getTimeline({ coordinationId: "shared" }));
  });
});

function never(): never {
  throw new Error("it is not set");
}
