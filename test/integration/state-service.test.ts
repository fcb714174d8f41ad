import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import {
  HistoryOrder,
  type SendSignalRequestSchema,
  StartPosition,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateChangeKind, StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { refusalFrom, refusalOf } from "../support/refusal.js";
import { connectJson, grpc, type Protocol, type TestClient } from "../support/test-client.js";
import { startTestServer, type TestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

type SignalParts = MessageInitShape<typeof SendSignalRequestSchema>;

const coordinationId = "work";
const note = { case: "interAgentMessage", value: { messageType: "note", message: "x" } } as const;
const resolved = (dependencyId: string) =>
  ({ case: "dependencyResolved", value: { dependencyType: "model", dependencyId } }) as const;

describe.each([
  ["memory", grpc],
  ["lmdb", connectJson],
] as const)("StateService on %s", (kind, protocol: Protocol) => {
  let directory: string;
  let server: TestServer;
  let client: TestClient;
  let state: Client<typeof StateService>;

  const open = async (): Promise<void> => {
    const store = kind === "memory" ? "memory:" : `lmdb:${directory}`;
    server = await startTestServer(["--store", store, "--max-history-signals", "600", "--recipient-validation", "off"]);
    client = protocol.connect(server.url);
    state = createClient(StateService, client.transport);
  };
  const close = async (): Promise<void> => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "coordination-state-"));
    await open();
  });

  afterEach(async () => {
    await close();
    await rm(directory, { recursive: true, force: true });
  });

  const send = (parts: SignalParts = {}) =>
    client.signals.sendSignal({ coordinationId, senderAgentId: "a", event: note, ...parts });
  const fill = (count: number) =>
    client.signals.batchSendSignals({
      requests: Array.from({ length: count }, () => ({ coordinationId, senderAgentId: "a", event: note })),
    });
  const sequences = async (): Promise<number[]> => {
    const order = HistoryOrder.OLDEST_FIRST;
    const { signals } = await client.signals.getSignalHistory({ coordinationId, order, pageSize: 1000 });
    return signals.map(({ sequence }) => Number(sequence));
  };
  const dependencies = async (): Promise<string[]> => {
    const overview = await client.coordinations.getCoordination({ coordinationId });
    return overview.dependencies.map(({ dependencyId, sequence }) => `${dependencyId}@${sequence}`).sort();
  };

  test("a rollback takes signals out, and their numbers are not used again", async () => {
    for (let i = 0; i < 5; i++) await send();
    const { coordination, removedSignals } = await state.rollbackCoordination({ coordinationId, toSequence: 2n });
    expect([coordination?.headSequence, coordination?.generation, removedSignals]).toEqual([5n, 1, 3n]);
    expect((await send()).sequence).toBe(6n);
    expect(await sequences()).toEqual([1, 2, 6]);
    expect((await client.signals.getSignalMetrics({ coordinationId })).totalSignalsSent).toBe(6n);
  });

  test("a rollback undoes resolved dependencies and milestones, not registrations", async () => {
    await client.agents.registerAgent({ coordinationId, agentId: "registered" });
    await send({ event: resolved("kept") });
    await send({ event: resolved("changed") });
    const to = await send({ senderAgentId: "b", event: { case: "agentInitialized", value: { ready: true } } });
    await send({ event: resolved("changed") });
    await send({ event: resolved("gone") });
    await send({ senderAgentId: "b", event: { case: "agentCompleted", value: { resultSummary: "done" } } });
    await state.rollbackCoordination({ coordinationId, toSequence: to.sequence, reason: "wrong turn" });
    expect(await dependencies()).toEqual(["changed@2", "kept@1"]);
    const { agents } = await client.agents.listAgents({ coordinationId });
    expect(agents.map(({ agentId, state: agentState }) => [agentId, AgentState[agentState]])).toEqual([
      ["b", "READY"],
      ["registered", "READY"],
    ]);
  });

  test("a rollback leaves an agent that registered again where it began anew, completed before or not", async () => {
    const completed = { case: "agentCompleted", value: { resultSummary: "done" } } as const;
    const agentState = async (agentId: string) => {
      const { agent } = await client.agents.getAgent({ coordinationId, agentId });
      return agent && AgentState[agent.state];
    };
    for (const agentId of ["b", "d"]) {
      await client.agents.registerAgent({ coordinationId, agentId });
      await send({ senderAgentId: agentId, event: completed });
    }
    await send();
    for (const agentId of ["b", "d"]) await client.agents.registerAgent({ coordinationId, agentId });
    await send({ senderAgentId: "d", event: completed });
    expect([await agentState("b"), await agentState("d")]).toEqual(["READY", "COMPLETED"]);
    await state.rollbackCoordination({ coordinationId, toSequence: 2n });
    expect([await agentState("b"), await agentState("d")]).toEqual(["READY", "READY"]);
    // What completed after it registered is completed again.
    const { sequence } = await send({ senderAgentId: "b", event: completed });
    await send();
    await state.rollbackCoordination({ coordinationId, toSequence: sequence });
    expect(await agentState("b")).toBe("COMPLETED");
  });

  test("a rollback restores what signals behind the history had decided", async () => {
    await send({ event: resolved("old") });
    await send({ senderAgentId: "b", event: { case: "agentCompleted", value: { resultSummary: "done" } } });
    // The first ones leave the history, and the store.
    await fill(700);
    await fill(700);
    await fill(1);
    const { headSequence } = await client.signals.getSignalMetrics({ coordinationId });
    await send({ event: resolved("old") });
    await send({ senderAgentId: "b", event: { case: "agentInitialized", value: { ready: true } } });
    await state.rollbackCoordination({ coordinationId, toSequence: headSequence });
    expect(await dependencies()).toEqual(["old@1"]);
    const { agent } = await client.agents.getAgent({ coordinationId, agentId: "b" });
    expect(AgentState[agent?.state ?? 0]).toBe("COMPLETED");
  });

  test("a subscriber beyond a rollback is told where to resume, one before it goes on", async () => {
    for (let i = 0; i < 4; i++) await send();
    const position = StartPosition.EARLIEST;
    using beyond = openSubscription(client.signals, { coordinationId, start: { case: "position", value: position } });
    const { cursor } = (await beyond.until("caughtUp")).value;
    await state.rollbackCoordination({ coordinationId, toSequence: 2n });
    const refusal = refusalFrom(await beyond.untilEnd());
    expect(refusal).toMatchObject({
      code: "OutOfRange",
      reason: "ROLLED_BACK",
      metadata: { resume_after_sequence: "2" },
    });
    using late = openSubscription(client.signals, { coordinationId, start: { case: "cursor", value: cursor } });
    expect(refusalFrom(await late.untilEnd()).reason).toBe("ROLLED_BACK");
    await send();
    const after = { case: "afterSequence", value: 2n } as const;
    using resumed = openSubscription(client.signals, { coordinationId, start: after });
    expect((await resumed.untilSignals(1)).map(({ sequence }) => sequence)).toEqual([5n]);
  });

  test("request_ids of removed signals are free again", async () => {
    await send();
    await send({ requestId: "r" });
    await state.rollbackCoordination({ coordinationId, toSequence: 1n });
    expect(await send({ requestId: "r" })).toMatchObject({ sequence: 3n, deduplicated: false });
    expect(await send({ requestId: "r" })).toMatchObject({ sequence: 3n, deduplicated: true });
  });

  test("a rollback that cannot be is refused and changes nothing", async () => {
    const refused = (toSequence: bigint) => refusalOf(state.rollbackCoordination({ coordinationId, toSequence }));
    expect((await refused(0n)).reason).toBe("COORDINATION_NOT_FOUND");
    await fill(700);
    expect(await refused(701n)).toMatchObject({ reason: "CURSOR_AHEAD", metadata: { head_sequence: "700" } });
    expect(await refused(50n)).toMatchObject({ reason: "CURSOR_EXPIRED", metadata: { oldest_to_sequence: "100" } });
    await state.rollbackCoordination({ coordinationId, toSequence: 600n });
    expect(await refused(650n)).toMatchObject({ reason: "ROLLED_BACK", metadata: { resume_after_sequence: "600" } });
    const { coordination } = await state.rollbackCoordination({ coordinationId, toSequence: 700n });
    expect(coordination?.generation).toBe(1);
  });

  test("snapshots keep the state as it was, the newest first", async () => {
    await client.agents.registerAgent({ coordinationId, agentId: "b" });
    await send({ event: resolved("one") });
    const { snapshot: first } = await state.createSnapshot({ coordinationId, label: "before", requestedBy: "me" });
    await send({ event: resolved("two") });
    const { snapshot: second } = await state.createSnapshot({ coordinationId, label: "after" });
    await state.rollbackCoordination({ coordinationId, toSequence: 0n });
    const listed = await state.listSnapshots({ coordinationId, pageSize: 1 });
    expect(listed.snapshots.map(({ label, agents }) => [label, agents.length])).toEqual([["after", 0]]);
    const rest = await state.listSnapshots({ coordinationId, pageSize: 1, pageToken: listed.nextPageToken });
    expect([rest.snapshots.map(({ label }) => label), rest.nextPageToken]).toEqual([["before"], ""]);
    const snapshotId = first?.snapshotId ?? "";
    const { snapshot } = await state.getSnapshot({ coordinationId, snapshotId });
    expect(snapshot).toEqual(first);
    expect(snapshot?.dependencies.map(({ dependencyId }) => dependencyId)).toEqual(["one"]);
    expect(snapshot?.agents.map(({ agentId }) => agentId)).toEqual(["b"]);
    expect(snapshot).toMatchObject({ headSequence: 1n, generation: 0, requestedBy: "me", revision: 3n });
    expect(second).toMatchObject({ headSequence: 2n, metrics: { totalSignalsSent: 2n } });
    const unknown = await refusalOf(state.getSnapshot({ coordinationId, snapshotId: "nobody" }));
    expect(unknown).toMatchObject({ code: "NotFound", reason: "SNAPSHOT_NOT_FOUND" });
  });

  test("the audit tells what changed, by whom, with versions that join", async () => {
    await client.agents.registerAgent({ coordinationId, agentId: "b" });
    await send();
    await client.agents.heartbeatAgent({ coordinationId, agentId: "b", progress: "half" });
    await state.createSnapshot({ coordinationId, label: "s", requestedBy: "me" });
    await state.rollbackCoordination({ coordinationId, toSequence: 0n, reason: "again", requestedBy: "me" });
    await client.agents.deregisterAgent({ coordinationId, agentId: "b" });
    await client.coordinations.closeCoordination({ coordinationId, reason: "done" });
    const first = await state.listStateChanges({ coordinationId, pageSize: 4 });
    const second = await state.listStateChanges({ coordinationId, pageSize: 4, pageToken: first.nextPageToken });
    const changes = [...first.changes, ...second.changes];
    expect(changes.map(({ kind, actors, detail }) => [StateChangeKind[kind], actors.join(), detail])).toEqual([
      ["CLOSED", "", "done"],
      ["AGENT_DEREGISTERED", "b", ""],
      ["ROLLED_BACK", "me", "again"],
      ["SNAPSHOT_CREATED", "me", "s"],
      ["AGENT_HEARTBEAT", "b", "half"],
      ["SIGNALS_APPENDED", "a", ""],
      ["AGENT_REGISTERED", "b", ""],
    ]);
    expect(changes.map(({ revisionBefore }) => revisionBefore)).toEqual([6n, 5n, 4n, 3n, 2n, 1n, 0n]);
    expect(changes.map(({ revisionAfter }) => revisionAfter)).toEqual([7n, 6n, 5n, 4n, 3n, 2n, 1n]);
  });

  test("a replay sends a stretch of history again and ends by itself", async () => {
    for (let i = 1; i <= 6; i++) await send({ senderAgentId: i % 2 === 0 ? "even" : "odd" });
    await state.rollbackCoordination({ coordinationId, toSequence: 4n });
    await send({ senderAgentId: "even" });
    const read = async (request: { afterSequence?: bigint; untilSequence?: bigint; speed?: number }) => {
      const found: number[] = [];
      const filter = { senderAgentIds: ["even"] };
      for await (const { signals } of client.signals.replaySignals({ coordinationId, filter, ...request })) {
        found.push(...signals.map(({ sequence }) => Number(sequence)));
      }
      return found;
    };
    expect(await read({})).toEqual([2, 4, 7]);
    expect(await read({ afterSequence: 2n, untilSequence: 4n })).toEqual([4]);
    expect(await read({ speed: 1_000_000 })).toEqual([2, 4, 7]);
    const ahead = await read({ untilSequence: 9n }).catch(refusalFrom);
    expect(ahead).toMatchObject({ reason: "CURSOR_AHEAD", metadata: { head_sequence: "7" } });
  });

  test("a replay of a stretch that ends before it begins is refused", async () => {
    await fill(4);
    const replayed = async (parts: object) => {
      const sequencesRead: bigint[] = [];
      for await (const { signals } of client.signals.replaySignals({ coordinationId, ...parts })) {
        sequencesRead.push(...signals.map(({ sequence }) => sequence));
      }
      return sequencesRead;
    };
    expect(await refusalOf(replayed({ afterSequence: 3n, untilSequence: 2n }))).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_REQUEST",
      metadata: { field: "until_sequence" },
    });
    expect(await replayed({ afterSequence: 3n, untilSequence: 3n })).toEqual([]);
  });

  test("everything is there after a restart where the store lasts", async () => {
    if (kind === "memory") return;
    for (let i = 0; i < 5; i++) await send({ event: resolved(`d${i}`) });
    const { snapshot } = await state.createSnapshot({ coordinationId, label: "s" });
    await state.rollbackCoordination({ coordinationId, toSequence: 2n });
    await close();
    await open();
    expect(await sequences()).toEqual([1, 2]);
    expect(await dependencies()).toEqual(["d0@1", "d1@2"]);
    expect((await state.listSnapshots({ coordinationId })).snapshots.map(({ snapshotId }) => snapshotId)).toEqual([
      snapshot?.snapshotId,
    ]);
    expect((await state.listStateChanges({ coordinationId })).changes).toHaveLength(7);
    expect((await send()).sequence).toBe(6n);
  });
});
