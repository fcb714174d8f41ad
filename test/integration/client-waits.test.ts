import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  CancelledError,
  type CoordinationClient,
  type CoordinationSession,
  createCoordinationClient,
  DeadlockError,
  DependencyFailedError,
  InvalidRequestError,
  PreconditionError,
  TimeoutError,
  type WaitConditionInit,
} from "../../client-sdk/src/index.js";
import { eventually } from "../support/eventually.js";
import { newCoordinationId } from "../support/sample-signals.js";
import { sdkForAll } from "../support/sdk-for-all.js";
import { spawnServer } from "../support/spawned-server.js";

const user: WaitConditionInit = { dependencyType: "model", dependencyId: "User" };
const post: WaitConditionInit = { dependencyType: "model", dependencyId: "Post" };

/** Waits until so many waits are open in a session's coordination. */
async function untilWaiting(session: CoordinationSession, count: bigint): Promise<void> {
  await eventually(async () => expect((await session.waitGraph()).waitCount).toBe(count));
}

describe("the SDK's waits and requests", () => {
  let client: CoordinationClient;
  sdkForAll((started) => {
    client = started;
  });

  const session = (coordinationId: string, agentId: string) => client.coordination(coordinationId, { agentId });

  describe("session.waitFor", () => {
    test("resolves with the sequence of each condition, from history and live", async () => {
      const id = newCoordinationId();
      const [waiter, worker] = [session(id, "waiter"), session(id, "worker")];
      await worker.dependencyResolved({ dependencyType: "model", dependencyId: "User" });
      expect(await waiter.waitFor(user)).toEqual({ sequences: [1n] });
      const waiting = waiter.waitFor([
        user,
        { agentId: "worker", minQualityScore: 0.5 },
        { signal: { types: ["interAgentMessage"], senders: ["work*"] } },
      ]);
      await untilWaiting(waiter, 1n);
      await worker.message({ messageType: "note" });
      await worker.completed({ qualityScore: 0.5 });
      expect(await waiting).toEqual({ sequences: [1n, 3n, 2n] });
    });

    test("takes modes, and leaves out what need not be met", async () => {
      const id = newCoordinationId();
      const worker = session(id, "worker");
      await worker.dependencyResolved({ dependencyType: "model", dependencyId: "Post" });
      expect(await worker.waitFor([user, post], { mode: "any" })).toEqual({ sequences: [undefined, 1n] });
      const two = worker.waitFor([user, post, { agentId: "x", milestone: "initialized" }], { mode: { atLeast: 2 } });
      await untilWaiting(worker, 1n);
      await session(id, "x").initialized();
      expect(await two).toEqual({ sequences: [undefined, 1n, 2n] });
    });

    test("rejects with errors of its own for what failed, for loops and for time", async () => {
      const id = newCoordinationId();
      const [a, b] = [session(id, "a"), session(id, "b")];
      const first = a.waitFor({ agentId: "b" });
      await untilWaiting(a, 1n);
      const closing = b.waitFor({ agentId: "a" });
      await expect(closing).rejects.toBeInstanceOf(DeadlockError);
      await expect(closing).rejects.toMatchObject({ reason: "DEADLOCK", path: ["b", "a", "b"] });
      const failed = expect(first).rejects.toMatchObject({
        name: "DependencyFailedError",
        agentId: "b",
        sequence: 1n,
        conditionIndex: 0,
      });
      await b.completed({ error: "broken" });
      await failed;
      await expect(a.waitFor({ agentId: "b" })).rejects.toBeInstanceOf(DependencyFailedError);
      const late = a.waitFor(user, { timeoutMs: 20 });
      await expect(late).rejects.toBeInstanceOf(TimeoutError);
      await expect(late).rejects.toMatchObject({ reason: "WAIT_TIMEOUT", metadata: { missing_count: "1" } });
    });

    test("ends when its signal is aborted, and with its session", async () => {
      const id = newCoordinationId();
      const waiter = session(id, "waiter");
      await waiter.message({ messageType: "note" });
      const abort = new AbortController();
      const aborted = expect(waiter.waitFor(user, { signal: abort.signal })).rejects.toBeInstanceOf(CancelledError);
      const closed = expect(waiter.waitFor(post)).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
      await untilWaiting(waiter, 2n);
      abort.abort();
      await aborted;
      await untilWaiting(session(id, "other"), 1n);
      await waiter[Symbol.asyncDispose]();
      await closed;
      await untilWaiting(session(id, "other"), 0n);
    });

    test.each([
      [{ ...user, expectFrom: ["x"] }],
      [{ ...user, expectedFrom: [] }],
      [{ agentId: "x", milestone: "done" }],
      [{ signal: { type: "interAgentMessage" } }],
    ])("refuses a condition that would not mean what it says: %o", async (condition) => {
      const waiting = session(newCoordinationId(), "waiter").waitFor(condition as WaitConditionInit);
      await expect(waiting).rejects.toBeInstanceOf(InvalidRequestError);
    });
  });

  describe("session.waitGraph", () => {
    test("tells who waits for whom, also as text", async () => {
      const id = newCoordinationId();
      const waiter = session(id, "waiter");
      await waiter.register({ heartbeat: false });
      const abort = new AbortController();
      const waiting = waiter.waitFor({ agentId: "worker" }, { signal: abort.signal }).catch(() => undefined);
      await untilWaiting(waiter, 1n);
      const { edges, text } = await waiter.waitGraph({ format: "mermaid" });
      expect(edges).toMatchObject([{ fromAgentId: "waiter", toAgentId: "worker" }]);
      expect(text).toContain('a0["waiter (waiting)"]');
      expect((await waiter.waitGraph({ format: "dot" })).text).toMatch(/^digraph waits \{/);
      abort.abort();
      await waiting;
    });
  });

  describe("session.request and session.onRequest", () => {
    test("bring each request its own reply", async () => {
      const id = newCoordinationId();
      const [asker, answerer] = [session(id, "asker"), session(id, "answerer")];
      await answerer.register({ heartbeat: false });
      await using listener = answerer.onRequest(
        ({ event: { value } }) => ({ messageType: "answer", message: value.message.toUpperCase() }),
        { messageTypes: ["ask"] },
      );
      await listener.ready();
      const ask = (message: string) => asker.request({ messageType: "ask", message }, { recipients: ["answerer"] });
      const replies = await Promise.all(["a", "b", "c"].map(ask));
      expect(
        replies.map(({ request, reply }) => [
          request.event.value?.$typeName,
          reply.correlationId === request.signalId,
          reply.event.case === "interAgentMessage" ? reply.event.value.message : "",
        ]),
      ).toEqual(["A", "B", "C"].map((text) => ["coordination.v1.InterAgentMessage", true, text]));
    });

    test("are refused at once when nobody listens, and end in time when nobody replies", async () => {
      const id = newCoordinationId();
      const [asker, answerer] = [session(id, "asker"), session(id, "answerer")];
      const nobody = asker.request({ messageType: "ask" });
      await expect(nobody).rejects.toBeInstanceOf(PreconditionError);
      await expect(nobody).rejects.toMatchObject({ reason: "NO_RESPONDERS" });
      await answerer.register({ heartbeat: false });
      await using listener = answerer.onRequest(() => undefined);
      await listener.ready();
      const silent = asker.request({ messageType: "ask" }, { timeoutMs: 20 });
      await expect(silent).rejects.toMatchObject({ name: "TimeoutError", reason: "REQUEST_TIMEOUT" });
    });

    test("a handler that throws ends the listener, unless somebody takes its error", async () => {
      const id = newCoordinationId();
      const [asker, answerer] = [session(id, "asker"), session(id, "answerer")];
      await answerer.register({ heartbeat: false });
      const failure = new Error("cannot");
      const broken = answerer.onRequest(() => {
        throw failure;
      });
      await broken.ready();
      const ended = expect(broken.finished).rejects.toBe(failure);
      await expect(asker.request({ messageType: "ask" }, { timeoutMs: 20 })).rejects.toBeInstanceOf(TimeoutError);
      await ended;
      const errors: unknown[] = [];
      await using patient = answerer.onRequest(
        ({ event: { value } }) => {
          if (value.message === "bad") throw failure;
          return { messageType: "answer" };
        },
        { onError: (error) => errors.push(error) },
      );
      await patient.ready();
      await expect(asker.request({ messageType: "ask", message: "bad" }, { timeoutMs: 20 })).rejects.toBeInstanceOf(
        TimeoutError,
      );
      await asker.request({ messageType: "ask", message: "good" });
      expect(errors).toEqual([failure]);
    });

    test("a listener that is closed lets the handlers finish that run", async () => {
      const id = newCoordinationId();
      const [asker, answerer] = [session(id, "asker"), session(id, "answerer")];
      await answerer.register({ heartbeat: false });
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      let started: () => void = () => undefined;
      const running = new Promise<void>((resolve) => {
        started = resolve;
      });
      const listener = answerer.onRequest(async () => {
        started();
        await released;
        return { messageType: "answer" };
      });
      await listener.ready();
      const asked = asker.request({ messageType: "ask" });
      await running;
      const closed = listener.close();
      release();
      await closed;
      expect((await asked).reply.senderAgentId).toBe("answerer");
    });
  });
});

describe("the SDK's waits while their server restarts", () => {
  test("go on, and history answers what happened meanwhile", async () => {
    const directory = await mkdtemp(join(tmpdir(), "client-waits-"));
    const store = `lmdb:${directory}`;
    await using first = await spawnServer(["--store", store]);
    const options = { baseUrl: first.url, retry: { initialDelayMs: 10, maxDelayMs: 50 } };
    await using client = createCoordinationClient(options);
    const waiter = client.coordination("c", { agentId: "waiter" });
    const answerer = client.coordination("c", { agentId: "answerer" });
    await answerer.register({ leaseMs: 600_000, heartbeat: false });
    const waiting = waiter.waitFor([user, post]);
    const asking = waiter.request({ messageType: "ask" }, { recipients: ["answerer"] });
    await untilWaiting(waiter, 2n);
    const signalId = await eventually(async () => {
      const { signals } = await answerer.history().page();
      expect(signals).toHaveLength(1);
      return signals[0]?.signalId ?? "";
    });
    await first.stop();
    await using second = await spawnServer(["--store", store, "--port", String(first.port)]);
    await answerer.dependencyResolved({ dependencyType: "model", dependencyId: "User" });
    await untilWaiting(waiter, 2n);
    await answerer.dependencyResolved({ dependencyType: "model", dependencyId: "Post" });
    expect(await waiting).toEqual({ sequences: [2n, 3n] });
    await answerer.message({ messageType: "answer" }, { correlationId: signalId });
    expect(await asking).toMatchObject({ request: { sequence: 1n }, reply: { sequence: 4n } });
    expect(second.stderr()).not.toContain('"level":50');
    await rm(directory, { recursive: true, force: true });
  });
});
