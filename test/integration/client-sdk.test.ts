import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import * as browser from "../../client-sdk/src/browser.js";
import {
  AgentState,
  ConflictError,
  type CoordinationClient,
  CoordinationState,
  createCoordinationClient,
  type HeartbeatStatus,
  InvalidRequestError,
  NotFoundError,
  OutOfRangeError,
  PreconditionError,
  type SendResult,
  type Subscription,
} from "../../client-sdk/src/index.js";
import { eventually } from "../support/eventually.js";
import { newCoordinationId } from "../support/sample-signals.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";

const connections: readonly [string, (baseUrl: string) => CoordinationClient][] = [
  ["gRPC", (baseUrl) => createCoordinationClient({ baseUrl })],
  ["gRPC-Web", (baseUrl) => createCoordinationClient({ baseUrl, protocol: "grpc-web" })],
  ["Connect", (baseUrl) => createCoordinationClient({ baseUrl, protocol: "connect" })],
  ["gRPC-Web by fetch", (baseUrl) => browser.createCoordinationClient({ baseUrl, protocol: "grpc-web" })],
  ["Connect by fetch", (baseUrl) => browser.createCoordinationClient({ baseUrl })],
];

const note = (message: string) => ({ messageType: "note", message });
const noteEvent = (message: string) => ({ event: { case: "interAgentMessage", value: note(message) } }) as const;

/** Reads so many signals and leaves the subscription open. */
async function take(subscription: Subscription, count: number): Promise<readonly bigint[]> {
  const sequences: bigint[] = [];
  while (sequences.length < count) {
    const { value, done } = await subscription.next();
    if (done) throw new Error(`the subscription ended after ${sequences.length} of ${count} signals`);
    sequences.push(value.sequence);
  }
  return sequences;
}

function numbers(first: number, last: number): readonly bigint[] {
  return Array.from({ length: last - first + 1 }, (_, index) => BigInt(first + index));
}

describe.each(connections)("the SDK by %s", (_, connect) => {
  let server: SpawnedServer;
  let client: CoordinationClient;
  beforeAll(async () => {
    server = await spawnServer(["--max-history-signals", "400"]);
    client = connect(server.url);
  });
  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  const newSession = (agentId = "agent") => client.coordination(newCoordinationId(), { agentId });

  test("sends the four signals and reads them back, live and from history", async () => {
    const session = newSession("model-generator");
    const observer = client.coordination(session.coordinationId);
    const live = observer.subscribe();
    await live.ready();
    await session.initialized({ capabilities: ["typescript"], ready: true, initializationTimeMs: 1.5 });
    await session.dependencyResolved({
      dependencyType: "model",
      dependencyId: "UserModel",
      resolutionData: { fields: [{ name: "id" }, null, 1.5, true] },
    });
    await session.message(
      { ...note("done soon"), payload: { eta: 2 } },
      { priority: "high", metadata: { key: "value" } },
    );
    const last = await session.completed({ resultSummary: "5 models", qualityScore: 0.95, artifactsGenerated: ["a"] });
    expect(await take(live, 4)).toEqual([1n, 2n, 3n, 4n]);
    await live.close();
    const resolved = await session.history({ types: ["dependencyResolved"] }).page();
    expect(resolved.signals[0]?.event.value).toMatchObject({
      dependencyId: "UserModel",
      resolvedBy: "model-generator",
      resolutionData: { fields: [{ name: "id" }, null, 1.5, true] },
    });
    const [newest] = (await session.history({ pageSize: 1 }).page()).signals;
    expect(newest).toMatchObject({ signalId: last.signalId, sequence: 4n, event: { value: { qualityScore: 0.95 } } });
    expect(last).toMatchObject({ sequence: 4n, deduplicated: false, epoch: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(last.timestamp).toBeInstanceOf(Date);
  });

  test("keeps the order of concurrent sends, of which bad ones fail alone", async () => {
    const session = newSession();
    const sent: Promise<SendResult>[] = [];
    const refused: Promise<SendResult>[] = [];
    for (let index = 0; index < 300; index += 1) {
      sent.push(session.message(note(`${index}`)));
      if (index % 100 === 50) refused.push(session.message(note("nobody"), { recipients: ["no-such-agent"] }));
    }
    for (const send of refused) {
      await expect(send).rejects.toThrow(NotFoundError);
      await expect(send).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
    }
    expect((await Promise.all(sent)).map(({ sequence }) => sequence)).toEqual(numbers(1, 300));
    const messages: string[] = [];
    for await (const { event } of session.history({ types: ["interAgentMessage"], order: "oldestFirst" })) {
      messages.push(event.value.message);
    }
    expect(messages).toEqual(Array.from({ length: 300 }, (__, index) => `${index}`));
  });

  test("splits what is too large for one request", async () => {
    const session = newSession();
    const large = "x".repeat(240_000);
    const results = await Promise.all(Array.from({ length: 20 }, () => session.message(note(large))));
    expect(results.map(({ sequence }) => sequence)).toEqual(numbers(1, 20));
    expect(await take(client.coordination(session.coordinationId).subscribe({ from: "earliest" }), 20)).toHaveLength(
      20,
    );
  });

  test("stores a repeated request once and an atomic batch whole or not at all", async () => {
    const session = newSession();
    const first = await session.message(note("once"), { requestId: "r", expectedSequence: 0n });
    const again = await session.message(note("once"), { requestId: "r" });
    expect(again).toEqual({ ...first, deduplicated: true });
    await expect(session.message(note("other"), { requestId: "r" })).rejects.toThrow(InvalidRequestError);
    const conflict = session.message(note("late"), { expectedSequence: 0n });
    await expect(conflict).rejects.toThrow(ConflictError);
    await expect(conflict).rejects.toMatchObject({ reason: "SEQUENCE_CONFLICT", headSequence: 1n });
    const refused = session.sendAtomic([noteEvent("a"), { ...noteEvent("b"), recipients: ["no-such-agent"] }]);
    await expect(refused).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND", metadata: { index: "1" } });
    const stored = await session.sendAtomic([noteEvent("a"), noteEvent("b")]);
    expect(stored.map(({ sequence }) => sequence)).toEqual([2n, 3n]);
  });

  test("routes and filters, and frees the subscription when its reader breaks off", async () => {
    const session = newSession("a");
    const other = client.coordination(session.coordinationId, { agentId: "b" });
    await Promise.all([session.register({ heartbeat: false }), other.register({ heartbeat: false })]);
    await session.message(note("to b"), { recipients: ["b"], metadata: { topic: "x" } });
    await session.message(note("to all"), { priority: "control" });
    await other.message(note("own"));
    const read = async (subscription: Subscription, count: number) => {
      const sequences = await take(subscription, count);
      await subscription.close();
      return sequences;
    };
    const until = { from: "earliest", beforeTime: new Date(Date.now() + 600_000) } as const;
    expect(await read(other.subscribe(until), 2)).toEqual([1n, 2n]);
    expect(await read(other.subscribe({ ...until, includeOwn: true }), 3)).toEqual([1n, 2n, 3n]);
    expect(await read(other.subscribe({ ...until, minPriority: "high" }), 1)).toEqual([2n]);
    expect(await read(other.subscribe({ ...until, metadata: { topic: "x" } }), 1)).toEqual([1n]);
    expect(await read(session.subscribe({ ...until, senders: ["b*"] }), 1)).toEqual([3n]);
    await eventually(async () => {
      expect(await session.metrics()).toMatchObject({ activeSubscriptions: 0n, totalSignalsReceived: 8n });
    });
  });

  test("resumes after the last signal handed out, inside a batch too", async () => {
    const session = newSession();
    await Promise.all(Array.from({ length: 10 }, (__, index) => session.message(note(`${index}`))));
    const observer = client.coordination(session.coordinationId);
    const sequences: bigint[] = [];
    let cursor = "";
    for (let part = 0; part < 5; part += 1) {
      await using subscription = observer.subscribe({ from: cursor === "" ? "earliest" : { cursor } });
      sequences.push(...(await take(subscription, 2)));
      cursor = subscription.cursor ?? "";
    }
    expect(sequences).toEqual(numbers(1, 10));
  });

  test("waits for a coordination that does not exist yet and ends with one that is closed", async () => {
    const session = newSession();
    const observer = client.coordination(session.coordinationId);
    await expect(observer.metrics()).rejects.toThrow(NotFoundError);
    const subscription = observer.subscribe();
    await subscription.ready();
    await session.message(note("first"));
    expect(await take(subscription, 1)).toEqual([1n]);
    await session.message(note("last"));
    expect(await session.closeCoordination("done")).toMatchObject({
      state: CoordinationState.CLOSED,
      closeReason: "done",
    });
    await expect(session.message(note("too late"))).rejects.toThrow(PreconditionError);
    const rest: bigint[] = [];
    for await (const { sequence } of subscription) rest.push(sequence);
    expect(rest).toEqual([2n]);
  });

  test("tells that a coordination was deleted and that its log is another one", async () => {
    const session = newSession();
    await session.message(note("a"));
    const observer = client.coordination(session.coordinationId);
    const subscription = observer.subscribe({ from: "earliest" });
    await take(subscription, 1);
    const { cursor = "" } = subscription;
    await session.deleteCoordination();
    await expect(subscription.next()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    await session.message(note("b"));
    const read = observer.subscribe({ from: { cursor } }).next();
    await expect(read).rejects.toThrow(OutOfRangeError);
    await expect(read).rejects.toMatchObject({ reason: "EPOCH_CHANGED" });
  });

  test("names where to go on when the start is not in history any more", async () => {
    const session = newSession();
    await Promise.all(Array.from({ length: 1_200 }, (__, index) => session.message(note(`${index}`))));
    const oldestSequence = await eventually(async () => {
      const metrics = await session.metrics();
      expect(metrics.oldestSequence).toBe(801n);
      return metrics.oldestSequence;
    });
    const observer = client.coordination(session.coordinationId);
    const error = await observer
      .subscribe({ from: { afterSequence: 1n } })
      .next()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutOfRangeError);
    expect(error).toMatchObject({ reason: "CURSOR_EXPIRED", oldestSequence, headSequence: 1_200n });
    const { resumeAfterSequence = 0n } = error as OutOfRangeError;
    const resumed = observer.subscribe({ from: { afterSequence: resumeAfterSequence } });
    expect(await take(resumed, 1)).toEqual([oldestSequence]);
    await resumed.close();
  });

  test("registers agents, keeps them alive and lists them", async () => {
    const session = newSession("model-generator");
    const beat = new Promise((resolve) => {
      const provides = [{ dependencyType: "model", dependencyId: "*" }];
      // One that a busy machine makes late fails and is followed by the next.
      const onHeartbeat = (status: HeartbeatStatus) => {
        if (status.type === "renewed") resolve(status);
      };
      session.register({ capabilities: ["typescript"], provides, leaseMs: 1_500, onHeartbeat }).catch(resolve);
    });
    expect(await beat).toMatchObject({
      type: "renewed",
      agent: { agentId: "model-generator", capabilities: ["typescript"] },
    });
    expect(await session.heartbeat("3 of 5")).toMatchObject({ progress: "3 of 5", state: AgentState.BUSY });
    expect((await session.agents({ states: ["busy"] })).map(({ agentId }) => agentId)).toEqual(["model-generator"]);
    expect(await session.agents({ states: ["failed"] })).toEqual([]);
    expect(await session.overview()).toMatchObject({ agentCount: 1n });
    await session.deregister();
    await expect(session.agent("model-generator")).rejects.toThrow(NotFoundError);
    const names: string[] = [];
    for await (const { coordinationId } of client.coordinations({ pageSize: 1 })) names.push(coordinationId);
    expect(names).toContain(session.coordinationId);
  });
});

describe("the SDK while its server restarts", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "coordination-sdk-"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test.each(["SIGTERM", "SIGKILL"] as const)("loses and repeats nothing (%s)", async (signal) => {
    const store = `lmdb:${join(directory, signal)}`;
    let server = await spawnServer(["--store", store]);
    const restart = async () => {
      server.kill(signal);
      await server.exited;
      server = await spawnServer(["--store", store, "--port", String(server.port)]);
    };
    await using client = createCoordinationClient({ baseUrl: server.url, retry: { initialDelayMs: 20 } });
    const session = client.coordination("c", { agentId: "sender" });
    const subscription = client.coordination("c").subscribe({ from: "earliest" });
    const read: Promise<readonly bigint[]> = take(subscription, 600);
    const results: SendResult[] = [];
    for (let round = 0; round < 3; round += 1) {
      const sent = Array.from({ length: 200 }, (_, index) => session.message(note(`${round}.${index}`)));
      if (round < 2) await restart();
      results.push(...(await Promise.all(sent)));
    }
    expect(results.map(({ sequence }) => sequence)).toEqual(numbers(1, 600));
    expect(await read).toEqual(numbers(1, 600));
    await client.close();
    await server.stop();
  });
});
